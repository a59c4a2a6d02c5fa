// A block's parameters and optimizer state, version by version.
//
//   previous (t)      newest (t + 1)           each an immutable buffer, shared
//   [values]          [values]                 with the answers that carry it
//   [encoded]         [encoded]                where pulls are rounded
//                     [slots]                  shared with checkpoints only
//                     [device values]          where the device has its own
//                                              memory: what the optimizer reads
//
// Advancing writes the next version into buffers of its own, optimizer state
// too. So a snapshot of version v holds exactly that version, and a step that
// cannot be taken leaves no trace. Buffers that nobody shares any more go back
// to their pool, where the next block to advance finds them still in a cache.

#ifndef TESSERA_SERVER_SHARD_BLOCK_STATE_H_
#define TESSERA_SERVER_SHARD_BLOCK_STATE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/device/buffer_pool.h"
#include "common/wire/encoding.h"
#include "server/shard/block_math.h"
#include "server/shard/optimizer.h"

namespace tessera {

// Where a block's memory comes from.
struct BlockMemory {
  BufferPool* values;  // Host memory: answers point into it.
  BufferPool* slots;   // Device memory.
  // Device memory for the newest values, of a device that does not work on host
  // memory; else null.
  BufferPool* device_values = nullptr;
};

// The values of one version. Immutable once made.
struct VersionBuffers {
  BufferRef values;   // float32.
  BufferRef encoded;  // As pulls want them, unless that is float32.
};
struct VersionedValues {
  int64_t version = 0;
  std::shared_ptr<const VersionBuffers> buffers;

  absl::Span<const float> values() const {
    return {buffers->values.floats(), buffers->values.bytes() / sizeof(float)};
  }
  // What a pull is answered with.
  absl::Span<const uint8_t> payload() const {
    const BufferRef& sent =
        buffers->encoded ? buffers->encoded : buffers->values;
    return {static_cast<const uint8_t*>(sent.data()), sent.bytes()};
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
  using Fill = absl::FunctionRef<void(absl::Span<float> values)>;
  // Section 0 is the parameters, 1 + i optimizer slot i.
  using FillSection =
      absl::FunctionRef<absl::Status(int section, absl::Span<float> values)>;

  // Version 0, of `elements` values that `fill` writes; optimizer state 0.
  // `pull_encoding` is that of payloads. `optimizer` and the pools must outlive
  // it. Codes: as common/device/device.h.
  static absl::StatusOr<BlockState> Create(size_t elements, Fill fill,
                                           v1::Encoding pull_encoding,
                                           const Optimizer& optimizer,
                                           const BlockMemory& memory,
                                           Stream& stream);

  // Likewise, but a version that was reached elsewhere: `fill` writes all of
  // it, a section at a time, or says why it cannot.
  static absl::StatusOr<BlockState> Restore(size_t elements, int64_t version,
                                            FillSection fill,
                                            v1::Encoding pull_encoding,
                                            const Optimizer& optimizer,
                                            const BlockMemory& memory,
                                            Stream& stream);

  // The optimizer's step, from `gradient`, the sum over all microbatches. The
  // version before the newest is let go. Gives false, with nothing changed,
  // when the sum is not finite. Codes: as common/device/device.h, with nothing
  // changed.
  absl::StatusOr<bool> Advance(const GradientSum& gradient);

  const VersionedValues& newest() const { return newest_.parameters; }

  // The version before the newest, unless it was let go; its `buffers` are null
  // then.
  const VersionedValues& previous() const { return previous_; }
  void ReleasePrevious() { previous_.buffers.reset(); }

  BlockSnapshot Snapshot() const { return newest_; }

  // Gives up its share of all memory. What is left knows its version, but has
  // no values, and is only fit to be assigned to.
  void LetGo();
  bool has_values() const { return newest_.parameters.buffers != nullptr; }

 private:
  BlockState(v1::Encoding pull_encoding, const Optimizer& optimizer,
             const BlockMemory& memory);

  // Buffers for one version of `elements` values.
  absl::StatusOr<VersionBuffers> MakeBuffers(size_t elements) const;
  // Makes `version` the newest, from section 0 of `fill`.
  absl::Status SetValues(size_t elements, int64_t version, FillSection fill,
                         Stream& stream);
  absl::StatusOr<BufferRef> MakeSlot(size_t elements, int section,
                                     FillSection fill, Stream& stream) const;
  // Points `update` at the values' place in device memory, if they have one of
  // their own; gives the new ones' place.
  absl::StatusOr<BufferRef> UseDeviceValues(BlockUpdate& update) const;
  // Rounds the values, which must be there, for pulls that want that.
  static void Encode(const VersionBuffers& buffers);

  v1::Encoding pull_encoding_;
  const Optimizer* optimizer_;
  BlockMemory memory_;
  BlockSnapshot newest_;
  VersionedValues previous_;
  BufferRef device_values_;  // The newest, with memory_.device_values.
};

}  // namespace tessera

#endif  // TESSERA_SERVER_SHARD_BLOCK_STATE_H_
