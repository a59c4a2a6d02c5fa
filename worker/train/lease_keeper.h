// Keeps a worker's lease alive beside its work.

#ifndef TESSERA_WORKER_TRAIN_LEASE_KEEPER_H_
#define TESSERA_WORKER_TRAIN_LEASE_KEEPER_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "common/base/mutex.h"
#include "common/base/strong_id.h"
#include "worker/client/coordinator_client.h"
#include "worker/train/block_board.h"

namespace tessera {

// Renews three times a lease, on a thread of its own, from construction to
// destruction, which waits for no server. When the coordinator calls the worker
// back, because there is work that is more urgent or the generation of its work
// is over, the board's waits end with ABORTED; when the membership is lost, or
// the coordinator cannot be reached for as long as its client tries, with that
// error.
class LeaseKeeper {
 public:
  // Renews over the connection of `coordinator`. The board must outlive the
  // keeper.
  LeaseKeeper(const CoordinatorClient& coordinator, WorkerId worker,
              absl::Duration lease, BlockBoard& board);
  ~LeaseKeeper();
  LeaseKeeper(const LeaseKeeper&) = delete;
  LeaseKeeper& operator=(const LeaseKeeper&) = delete;

  // Of the work at hand. Thread-safe.
  void SetGeneration(int64_t generation) { generation_ = generation; }

 private:
  void Run();
  // Whether to go on.
  bool Renew();

  const std::unique_ptr<CoordinatorClient> coordinator_;
  const WorkerId worker_;
  const absl::Duration interval_;
  BlockBoard& board_;
  std::atomic<int64_t> generation_ = 0;

  Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace tessera

#endif  // TESSERA_WORKER_TRAIN_LEASE_KEEPER_H_
