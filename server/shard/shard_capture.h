// Gathers one version of every block of a shard.

#ifndef TESSERA_SERVER_SHARD_SHARD_CAPTURE_H_
#define TESSERA_SERVER_SHARD_SHARD_CAPTURE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/mutex.h"
#include "common/device/device.h"
#include "common/plan/shard_plan.h"
#include "server/shard/block_state.h"
#include "server/shard/shard_snapshot.h"

namespace tessera {

// Thread-safe. Blocks hold on to it until they have come to its version.
class ShardCapture {
 public:
  using Done =
      std::function<void(absl::StatusOr<std::shared_ptr<ShardSnapshot>>)>;

  // `elements` are the blocks' intervals, in order. The device must outlive it
  // and the snapshot.
  ShardCapture(Device& device, std::vector<Interval> elements, int64_t version,
               Done done);

  int64_t version() const { return version_; }

  // Takes the snapshot of the shard's i-th block, once each. True for the last:
  // whoever gave it must call Finish, outside any lock.
  bool Take(size_t block, BlockSnapshot snapshot);

  // Of these, the first calls `done`; the others do nothing.
  void Finish();
  void Fail(const absl::Status& why);
  // Nobody is to be called.
  void Discard();

 private:
  Done TakeDone();

  Device& device_;
  const std::vector<Interval> elements_;
  const int64_t version_;

  Mutex mutex_;
  Done done_ ABSL_GUARDED_BY(mutex_);
  std::vector<BlockSnapshot> blocks_ ABSL_GUARDED_BY(mutex_);
  size_t missing_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tessera

#endif  // TESSERA_SERVER_SHARD_SHARD_CAPTURE_H_
