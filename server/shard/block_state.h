// A block's parameters and optimizer state, version by version.
//
//   previous (t)      newest (t + 1)           each an immutable buffer, shared
//   [values]          [values]                 with the answers that carry it
//                     [slots]                  shared with checkpoints only
//
// Advancing writes the next version's values into a buffer of its own.
// Optimizer state is overwritten where it lies while nobody else refers to it;
// when a snapshot does, the next version's state goes to new buffers instead.
// So a snapshot of version v holds exactly that version, and costs nothing
// until the block moves on.

#ifndef TESSERA_SERVER_SHARD_BLOCK_STATE_H_
#define TESSERA_SERVER_SHARD_BLOCK_STATE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/device/buffer_pool.h"
#include "server/shard/block_math.h"
#include "server/shard/optimizer.h"

namespace tessera {

// Where a block's memory comes from.
struct BlockMemory {
  BufferPool* values;  // Host memory: answers point into it.
  BufferPool* slots;   // Device memory.
};

// The values of one version. Immutable once made.
struct VersionedValues {
  int64_t version = 0;
  std::shared_ptr<const BufferRef> values;

  absl::Span<const float> span() const {
    return {values->floats(), values->bytes() / sizeof(float)};
  }
};

// All that a step changes, at one version. Immutable: hold it as long as you
// like, on any thread.
struct BlockSnapshot {
  VersionedValues parameters;
  std::vector<BufferRef> slots;  // As many as Optimizer::slot_count().
};

// Not thread-safe, unlike the snapshots it gives.
class BlockState {
 public:
  // Version 0, with room for `elements` values that the caller fills in through
  // initial_values() before anything else; optimizer state 0. `optimizer` and
  // the pools must outlive it. Codes: as common/device/device.h.
  static absl::StatusOr<BlockState> Create(size_t elements,
                                           const Optimizer& optimizer,
                                           const BlockMemory& memory,
                                           Stream& stream);

  // Only before the first snapshot, answer or Advance.
  absl::Span<float> initial_values();

  // The optimizer's step, from `gradient`, the sum over all microbatches. The
  // version before the newest is let go. Codes: as common/device/device.h, with
  // nothing changed when memory runs out.
  absl::Status Advance(const GradientSum& gradient);

  const VersionedValues& newest() const { return newest_.parameters; }

  // The version before the newest, unless it was let go; its `values` are null
  // then.
  const VersionedValues& previous() const { return previous_; }
  void ReleasePrevious() { previous_.values.reset(); }

  BlockSnapshot Snapshot() const { return newest_; }

 private:
  BlockState(const Optimizer& optimizer, const BlockMemory& memory)
      : optimizer_(&optimizer), memory_(memory) {}

  // For each slot the buffer to write the next version to: the same one where
  // this is its only share.
  absl::StatusOr<std::vector<BufferRef>> NextSlots() const;

  const Optimizer* optimizer_;
  BlockMemory memory_;
  BlockSnapshot newest_;
  VersionedValues previous_;
};

}  // namespace tessera

#endif  // TESSERA_SERVER_SHARD_BLOCK_STATE_H_
