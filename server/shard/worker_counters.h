// What each worker has pushed.

#ifndef TESSERA_SERVER_SHARD_WORKER_COUNTERS_H_
#define TESSERA_SERVER_SHARD_WORKER_COUNTERS_H_

#include <cstdint>
#include <map>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "common/base/mutex.h"
#include "common/base/strong_id.h"
#include "server/shard/shard_store.h"

namespace tessera {

// Thread-safe. Ids come from outside, so it bounds how many it tells apart:
// later ones are counted together, under no worker.
class WorkerCounters {
 public:
  static constexpr size_t kMaxWorkers = 4096;

  // A push that was accepted.
  void Count(WorkerId worker, PushOutcome outcome, int64_t payload_bytes) {
    MutexLock lock(&mutex_);
    const bool is_known = traffic_.contains(worker);
    if (!is_known && traffic_.size() >= kMaxWorkers) worker = WorkerId();
    WorkerTraffic& traffic = traffic_[worker];
    traffic.worker = worker;
    ++traffic.pushes;
    traffic.duplicates += outcome == PushOutcome::kDuplicate ? 1 : 0;
    traffic.pushed_bytes += payload_bytes;
  }

  // Ordered by worker.
  std::vector<WorkerTraffic> All() const {
    MutexLock lock(&mutex_);
    std::vector<WorkerTraffic> all;
    for (const auto& [worker, traffic] : traffic_) all.push_back(traffic);
    return all;
  }

 private:
  mutable Mutex mutex_;
  std::map<WorkerId, WorkerTraffic> traffic_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tessera

#endif  // TESSERA_SERVER_SHARD_WORKER_COUNTERS_H_
