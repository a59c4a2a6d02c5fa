// One run of a job: started or attached to, watched to its end, its results
// written down.

#ifndef TESSERA_DEPLOY_LAUNCH_RUN_H_
#define TESSERA_DEPLOY_LAUNCH_RUN_H_

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/job/job.h"
#include "common/rpc/credentials.h"
#include "deploy/launch/cluster.h"
#include "deploy/report/progress.h"
#include "tessera/v1/admin.pb.h"
#include "tessera/v1/coordinator.pb.h"

namespace tessera {

struct RunOptions {
  // How to start servers and workers; job_file is set by the run.
  ClusterOptions cluster;
  // Servers that run already: nothing is started when this is not empty.
  std::vector<std::string> attach;
  ChannelSecurity security;
};

// Requests to stop, set by a signal's thread.
struct StopRequests {
  std::atomic<int> count = 0;
};

struct RunResult {
  int64_t steps = 0;
  double epochs = 0;
  v1::EndReason end_reason = v1::END_REASON_UNSPECIFIED;
  double train_loss = 0;  // Mean over the last epoch, at most.
  double final_step_loss = 0;
  double test_loss = 0;
  double test_accuracy = 0;  // 0 for regression.
  double seconds = 0;        // From the first worker's start to the job's end.
  double samples_per_second = 0;
  std::string params_sha256;
  int workers = 0;  // That computed anything.
  std::vector<v1::GetServerInfoResponse> servers;
};

// Runs `job` with its results in options.cluster.run_dir, which must exist:
// job.textproto, logs/, metrics.jsonl, curves.svg, params.safetensors,
// summary.json. The first stop request ends the job after the step at hand; the
// second gives up at once (CANCELLED). Codes: ABORTED when processes died for
// good, UNAVAILABLE when servers cannot be reached; others from writing
// results.
absl::StatusOr<RunResult> RunJob(const Job& job, const RunOptions& options,
                                 StopRequests& stop, ProgressDisplay& display);

// "target accuracy reached" and the like.
std::string Describe(v1::EndReason reason);

}  // namespace tessera

#endif  // TESSERA_DEPLOY_LAUNCH_RUN_H_
