// The processes of a simulated cluster: they start, die, and are started again.

#ifndef TESSERA_TESTS_SIMULATION_RECOVERY_POPULATION_H_
#define TESSERA_TESTS_SIMULATION_RECOVERY_POPULATION_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "tests/simulation/recovery/cluster.h"
#include "tests/simulation/recovery/server_process.h"
#include "tests/simulation/recovery/worker_process.h"

namespace tessera {

// Not thread-safe.
class Population {
 public:
  // `cluster` must outlive it. Sets the cluster's `step`.
  Population(Cluster& cluster, size_t workers, int64_t microbatch_us);
  // Ends all that is under way.
  ~Population();

  void StartAll();
  // Runs the cluster's next event. A disk that goes down in it takes every
  // server with it, and comes back with what lasts.
  void Step();

  // Each gives false where there is nobody.
  bool KillServer(int shard);
  bool KillServerAtDiskOperation(int shard, int64_t n);
  // Another takes its place while it stalls.
  bool ReplaceServer(int shard, int64_t stall_us);
  bool KillWorker(size_t number);
  bool StallSomeone(int64_t stall_us);
  void KillEverybody();
  // Of workers that left because the job had ended, for one that has gone back
  // behind its end.
  void StartWorkersAgain();

  int shards() const { return cluster_.plan.shard_count(); }
  size_t workers() const { return workers_.size(); }
  Coordinator* coordinator() const;
  int64_t events() const { return events_; }

 private:
  void StartServer(int shard);
  void StartServerSoon(int shard);
  void StartWorker(size_t number);
  void RestartDisk();

  Cluster& cluster_;
  const int64_t microbatch_us_;
  int64_t events_ = 0;
  std::vector<std::shared_ptr<WorkerProcess>> workers_;
  // All that ever were, so that what is under way finds those whom it was sent
  // by.
  std::vector<std::shared_ptr<Process>> processes_;
};

}  // namespace tessera

#endif  // TESSERA_TESTS_SIMULATION_RECOVERY_POPULATION_H_
