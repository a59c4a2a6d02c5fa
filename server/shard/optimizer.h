// How a step's summed gradient turns a block's parameters into the next
// version. One file pair for each optimizer; proto/tessera/v1/job.proto has the
// formulas.

#ifndef TESSERA_SERVER_SHARD_OPTIMIZER_H_
#define TESSERA_SERVER_SHARD_OPTIMIZER_H_

#include <cstdint>

#include "absl/container/inlined_vector.h"
#include "absl/status/statusor.h"
#include "server/shard/block_math.h"

namespace tessera {

// One block's step. All arrays have gradient.elements() values; the new ones
// are none of the others. All but host_copy lie in device memory.
struct BlockUpdate {
  int64_t step = 0;
  // Sum over the step's M microbatches. It is added up and applied in one pass,
  // so it never goes out to memory.
  GradientSum gradient;
  const float* parameters = nullptr;  // Version `step`.
  float* new_parameters = nullptr;    // Version step + 1.
  // Host memory that new_parameters are to be copied to as well; null where
  // device memory is host memory.
  float* host_copy = nullptr;
  // Optimizer state, slot_count() arrays each.
  absl::InlinedVector<const float*, 2> slots;
  absl::InlinedVector<float*, 2> new_slots;
};

// An element's new value depends on that element alone, so blocks and shards do
// not matter. Immutable, so thread-safe.
class Optimizer {
 public:
  virtual ~Optimizer() = default;

  // State values per parameter. They start at 0.
  virtual int slot_count() const = 0;

  // Gives whether the gradient's sum is finite; where it is not, what is in the
  // new arrays means nothing. Codes: as common/device/device.h.
  virtual absl::StatusOr<bool> Apply(const BlockUpdate& update) const = 0;
};

}  // namespace tessera

#endif  // TESSERA_SERVER_SHARD_OPTIMIZER_H_
