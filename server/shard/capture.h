// Brings together the blocks of one version, each of which comes to it at its
// own pace.
//
//   Begin            every block is told the version, under its lock
//     |
//   Add, Add, ...    by the threads whose pushes bring the blocks there
//     |
//   the last Add gives all of them
//
// One that ends early leaves its blocks told; what they give then belongs to no
// capture, and is let go.

#ifndef TESSERA_SERVER_SHARD_CAPTURE_H_
#define TESSERA_SERVER_SHARD_CAPTURE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "common/base/mutex.h"
#include "common/device/device.h"
#include "common/plan/shard_plan.h"
#include "server/shard/block_state.h"
#include "server/shard/shard_snapshot.h"
#include "server/shard/shard_store.h"

namespace tessera {

// Thread-safe. Calls nobody back: it gives what is to be called.
class CaptureCollector {
 public:
  struct Complete {
    ShardStore::CaptureDone done;
    std::vector<BlockSnapshot> blocks;  // All of them, in order.
  };

  // A capture of so many blocks, above 0. What one before, that is not
  // complete, was to call goes to `ended`. Gives its id, higher than all
  // before, and never 0.
  uint64_t Begin(size_t blocks, ShardStore::CaptureDone done,
                 ShardStore::CaptureDone& ended);

  // Block number `i`; each once.
  std::optional<Complete> Add(uint64_t id, size_t i, BlockSnapshot block);

  // Ends the capture under way, whichever it is, or that of `id`. Gives what is
  // to be called; null when it is complete or has ended.
  ShardStore::CaptureDone End();
  ShardStore::CaptureDone End(uint64_t id);

 private:
  ShardStore::CaptureDone TakeDone() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Mutex mutex_;
  uint64_t id_ ABSL_GUARDED_BY(mutex_) = 0;
  // Null unless a capture is under way.
  ShardStore::CaptureDone done_ ABSL_GUARDED_BY(mutex_);
  std::vector<BlockSnapshot> blocks_ ABSL_GUARDED_BY(mutex_);
  size_t missing_ ABSL_GUARDED_BY(mutex_) = 0;
};

// `blocks` are all those of the shard, at one version, made on `device`, which
// must outlive it.
std::unique_ptr<ShardSnapshot> MakeShardSnapshot(
    const ShardPlan& plan, int shard, Device& device,
    std::vector<BlockSnapshot> blocks);

}  // namespace tessera

#endif  // TESSERA_SERVER_SHARD_CAPTURE_H_
