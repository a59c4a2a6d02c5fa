// Watches a job until it has ended.

#ifndef TESSERA_DEPLOY_LAUNCH_WATCH_H_
#define TESSERA_DEPLOY_LAUNCH_WATCH_H_

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/job/job.h"
#include "deploy/launch/cluster.h"
#include "deploy/launch/observer.h"
#include "deploy/launch/progress_meter.h"
#include "deploy/report/progress.h"
#include "deploy/report/run_history.h"
#include "tessera/v1/coordinator.pb.h"

namespace tessera {

// Requests to stop, counted by a signal's thread.
struct StopRequests {
  std::atomic<int> count = 0;
};

struct WatchOptions {
  std::string metrics_path;
  absl::Duration interval = absl::Milliseconds(250);
  // A coordinator that does not answer for this long has been lost; one of the
  // cluster's, which would start it again if it died, is waited for as long as
  // the job's wait policy says, and this long on top.
  absl::Duration lost_after = absl::Seconds(60);
  // A job that was asked to stop must have ended by then.
  absl::Duration stop_within = absl::Seconds(30);
};

// The error of a job that waited longer than its operation.wait allows, and
// whether a status is that.
absl::Status MakeWaitedTooLong(const std::string& message);
bool WaitedTooLong(const absl::Status& status);

// For the main thread only (see Child).
class Watch {
 public:
  // All references must outlive the watch. `cluster` is null for servers that
  // somebody else has started.
  Watch(const Job& job, const WatchOptions& options, Cluster* cluster,
        Observer& observer, const StopRequests& stop, ProgressDisplay& display);

  // Shows progress, tends the cluster, and passes on the first request to stop.
  // Returns the status in which the job has ended and its last checkpoint is
  // complete, or has failed. May be called again, for a job that has gone back
  // since. Codes: those of Cluster::Tend; ABORTED when all workers have left a
  // job that goes on; UNAVAILABLE when a server was lost; DEADLINE_EXCEEDED
  // when the job does not stop within the time for it, and see WaitedTooLong;
  // FAILED_PRECONDITION when the servers run another job or are not given in
  // shard order; other errors of servers that cannot pass.
  absl::StatusOr<v1::GetStatusResponse> UntilEnd();

  // From the start to the last look.
  absl::Duration elapsed() const { return last_look_ - start_; }
  // Steps that were done when the job was first seen: by an earlier run, or
  // before this watch.
  int64_t first_steps() const { return first_steps_.value_or(0); }
  const RunHistory& history() const { return history_; }
  // How often servers have gone back to an earlier version, as far as was seen.
  int recoveries() const { return recoveries_; }

 private:
  absl::Status HandleStop();
  absl::Status AskToStop();
  absl::Status TendCluster();
  absl::Status Desert();
  void NoteGeneration(const v1::GetStatusResponse& status);
  // Nothing when servers did not answer, which may pass.
  absl::StatusOr<std::optional<v1::GetStatusResponse>> Look();
  absl::Status CheckIdentity(
      const v1::GetStatusResponse& status,
      const std::vector<v1::GetServerInfoResponse>& infos) const;
  // The coordinator does not answer: whether it may yet, which is shown.
  absl::Status BearSilence(const absl::Status& why);
  void Rest() const;

  const Job& job_;
  const WatchOptions options_;
  Cluster* const cluster_;
  Observer& observer_;
  const StopRequests& stop_;
  ProgressDisplay& display_;
  ProgressMeter meter_;
  RunHistory history_;
  const absl::Time start_;
  absl::Time last_look_;
  absl::Time last_answer_;
  std::optional<int64_t> first_steps_;
  std::optional<Progress> shown_;
  std::string newest_checkpoint_ = "none";
  std::optional<absl::Time> stop_seen_;
  bool stop_sent_ = false;
  std::optional<absl::Time> server_died_;  // And has not come back.
  int64_t generation_ = 0;
  int recoveries_ = 0;
  int64_t pushed_bytes_ = 0;
};

}  // namespace tessera

#endif  // TESSERA_DEPLOY_LAUNCH_WATCH_H_
