// A server's part in recovery and checkpoints: it attends the coordinator and
// does what that says.
//
//     attends            acts                        writes
//   CoordinatorLink -> AgentPlan -> ShardStore -> BackgroundWriter
//        ^                |  ^         Restore         |
//        +--- state ------+  +----- file, failure -----+
//
// Three threads: one that waits for orders, one that restores and captures, and
// the writer's. None of them lies in the way of training.

#ifndef TESSERA_SERVER_SERVICE_SHARD_AGENT_H_
#define TESSERA_SERVER_SERVICE_SHARD_AGENT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/mutex.h"
#include "common/job/job.h"
#include "common/plan/shard_plan.h"
#include "common/storage/storage.h"
#include "server/service/agent_plan.h"
#include "server/service/background_writer.h"
#include "server/service/coordinator_link.h"
#include "server/shard/shard_store.h"

namespace tessera {

struct ShardAgentOptions {
  AgentIdentity identity;
  // Where all servers find the checkpoints; empty where there are none.
  std::string checkpoint_dir;
  // The coordinator will not have this server, now or ever: it must end. Called
  // once at most, on a thread of the agent's, which Stop waits for; the shard
  // serves no more by then.
  std::function<void(const absl::Status&)> on_refused;
};

// Start and Stop are for one thread.
class ShardAgent {
 public:
  // All must outlive the agent, which must outlive the store's last push: a
  // capture may end there. The shard should be suspended.
  ShardAgent(const Job& job, const ShardPlan& plan, ShardStore& store,
             CoordinatorLink& link, Storage& storage,
             ShardAgentOptions options);
  // Stops.
  ~ShardAgent();

  void Start();

  // Gives up what is under way, and waits for it: for the block or the piece at
  // hand, or a sync of the disk. The shard stays as it is.
  void Stop();

 private:
  using Orders = absl::StatusOr<v1::AttendResponse>;

  void RunAttendance();
  // Whether there is any sense in another call.
  bool Digest(const Orders& orders);
  void Lose(const absl::Status& why);
  void Refuse(const absl::Status& why);

  void RunActions();
  void Do(const NothingToDo&) {}
  void Do(const SuspendOrder& order);
  void Do(const RestoreOrder& order);
  void Do(const CaptureOrder& order);
  void Do(const DropCaptureOrder& order);
  absl::Status Restore(const RestoreOrder& order);
  // Codes: CANCELLED when not.
  absl::Status CheckWanted(const RestoreOrder& order);
  absl::Status Capture(const CaptureOrder& order);
  void WriteFile(const CaptureOrder& order,
                 absl::StatusOr<std::shared_ptr<ShardSnapshot>> snapshot);
  void FinishFile(const CaptureOrder& order,
                  const absl::StatusOr<v1::CheckpointFile>& file);
  // Lets the coordinator know, if what the plan reports has changed.
  void Report();

  const Job& job_;
  const ShardPlan& plan_of_shards_;
  ShardStore& store_;
  CoordinatorLink& link_;
  Storage& storage_;
  const ShardAgentOptions options_;

  BackgroundWriter writer_;

  Mutex mutex_;
  AgentPlan plan_ ABSL_GUARDED_BY(mutex_);
  // Of the plan, when the latest request was made.
  int64_t sent_revision_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool refused_ ABSL_GUARDED_BY(mutex_) = false;
  // After being refused: the shard serves no more.
  bool left_ ABSL_GUARDED_BY(mutex_) = false;

  // Of the attending thread: how often in a row the coordinator was not
  // reached.
  int failures_ = 0;

  std::thread attending_;
  std::thread acting_;
};

}  // namespace tessera

#endif  // TESSERA_SERVER_SERVICE_SHARD_AGENT_H_
