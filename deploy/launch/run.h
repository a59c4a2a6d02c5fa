// One run of a job: started or attached to, watched to its end, its results
// written down.

#ifndef TESSERA_DEPLOY_LAUNCH_RUN_H_
#define TESSERA_DEPLOY_LAUNCH_RUN_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/job/job.h"
#include "common/rpc/credentials.h"
#include "deploy/launch/cluster.h"
#include "deploy/launch/run_result.h"
#include "deploy/launch/watch.h"
#include "deploy/report/progress.h"

namespace tessera {

struct RunOptions {
  // How to start servers and workers; job_file is set by the run.
  ClusterOptions cluster;
  // Servers that run already: nothing is started when this is not empty.
  std::vector<std::string> attach;
  ChannelSecurity security;
  // File for a timeline of all processes that the run starts; none when empty.
  std::string trace_out;
  // Folder for checkpoints; none when empty.
  std::string checkpoint_dir;
  // Go on from the newest checkpoint in it, rather than refuse what is there.
  bool resume = false;
  // Remove the sets that are there.
  bool overwrite = false;
  // See WatchOptions.
  absl::Duration stop_within = absl::Seconds(30);
};

// Runs `job` with its results in options.cluster.run_dir, which must exist:
// job.textproto, logs/, metrics.jsonl, curves.svg, params.safetensors,
// summary.json; and, with trace_out, a timeline and its parts in trace/; and
// checkpoints. A stop request ends the job after the step at hand. Whatever
// happens, no process of the run is left when it returns. Codes: those of
// PrepareCheckpointFolder, Cluster::Start and Watch::UntilEnd;
// DEADLINE_EXCEEDED, see WaitedTooLong; others from fetching and writing
// results.
absl::StatusOr<RunResult> RunJob(const Job& job, const RunOptions& options,
                                 const StopRequests& stop,
                                 ProgressDisplay& display);

}  // namespace tessera

#endif  // TESSERA_DEPLOY_LAUNCH_RUN_H_
