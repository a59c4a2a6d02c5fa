// A worker process: the rules of worker/train/, without the arithmetic.

#ifndef TESSERA_TESTS_SIMULATION_RECOVERY_WORKER_PROCESS_H_
#define TESSERA_TESTS_SIMULATION_RECOVERY_WORKER_PROCESS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "server/coordinator/coordinator.h"
#include "tests/simulation/recovery/cluster.h"
#include "tests/simulation/recovery/server_process.h"
#include "tests/simulation/recovery/wire.h"

namespace tessera {

// Not thread-safe. Runs in the cluster's queue.
class WorkerProcess : public Process,
                      public std::enable_shared_from_this<WorkerProcess> {
 public:
  WorkerProcess(Cluster& cluster, int number, int64_t microbatch_us);

  void Start() { Join(); }
  void Die() { alive = false; }
  bool knows_of_the_end() const { return ended_; }

 private:
  // Runs in this process unless the piece of work at hand is over by then.
  void Later(int64_t delay_us, std::function<void()> event);
  // What a refused call comes to. Whether the call is to be made again.
  bool IsToRepeat(const absl::Status& status, int64_t era);

  void Join();
  void RenewSoon(int membership);
  void Renewed(const absl::StatusOr<bool>& recall);

  void Ask();
  void Answered(const absl::StatusOr<WorkReply>& reply);
  void Enter(int64_t generation);
  void GiveUp();
  void FellBehind();

  int64_t Version() const;
  void FetchAll();
  void Fetch(int block, int64_t era);
  void Came(const BlockVersion& block);
  bool Holds(int64_t version) const;
  void LookWhetherComplete();
  void Compute();
  // `gradient` is of the whole vector.
  void Push(const Contribution& contribution,
            const std::shared_ptr<const std::vector<float>>& gradient,
            int calls);
  void Score();

  std::shared_ptr<WorkerProcess> Self() { return shared_from_this(); }
  std::function<std::shared_ptr<ServerProcess>()> Server(int shard) const {
    return [this, shard] { return cluster_.ServerOf(shard); };
  }

  Cluster& cluster_;
  const int64_t microbatch_us_;

  WorkerId id_;
  int membership_ = 0;
  bool ended_ = false;
  int64_t era_ = 0;  // Counts pieces of work.
  int calls_ = 0;    // Counts up when all calls under way are cancelled.
  uint64_t requests_ = 0;
  bool gives_up_last_ = false;
  double measured_seconds_ = 0;

  // Of the board.
  int64_t generation_ = 0;
  int64_t proven_version_ = -1;
  std::map<int64_t, std::set<int>> held_;  // Blocks, by version.

  Grant work_;
  bool waits_for_blocks_ = false;
};

}  // namespace tessera

#endif  // TESSERA_TESTS_SIMULATION_RECOVERY_WORKER_PROCESS_H_
