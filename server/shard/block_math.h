// Elementwise arithmetic on blocks of float32 values, the same on every device.
//
// One operation makes up all of a shard's summing: a payload is read where it
// was received, and what is already held of the reduction tree is added to it
// on the way up, in a single pass over memory. The same pass tells whether all
// sums are finite. They are just if no value of the payload is NaN or infinite
// and none grew too large for a float32: what is held is finite, and neither
// NaN nor infinity ever leaves a sum again. So payloads need no pass of their
// own.

#ifndef TESSERA_SERVER_SHARD_BLOCK_MATH_H_
#define TESSERA_SERVER_SHARD_BLOCK_MATH_H_

#include "absl/container/inlined_vector.h"
#include "absl/status/statusor.h"
#include "common/tensor/fragments.h"
#include "common/wire/encoding.h"

namespace tessera {

// A sum that has not been computed yet: for each element i,
//   ((payload[i] + held[0][i]) + held[1][i]) + ...
// in float32, where held[k] is the sibling of the tree's node that the terms
// before it make up. (IEEE addition commutes, so left and right may be told
// apart or not; it does not associate, so the order in which terms join
// counts.)
struct GradientSum {
  FragmentedBytes payload;                       // In host memory.
  v1::Encoding encoding = v1::ENCODING_FLOAT32;  // Of the payload.
  absl::InlinedVector<const float*, 4> held;     // In device memory; finite.

  size_t elements() const { return payload.size() / BytesPerValue(encoding); }
};

// What a device does with such sums. Thread-safe.
class BlockMath {
 public:
  virtual ~BlockMath() = default;

  // Computes the sum into `out`, in device memory: elements() values, none of
  // the terms. Gives whether all of them are finite. The payload may go once
  // this returns. Codes: as common/device/device.h.
  virtual absl::StatusOr<bool> Fold(const GradientSum& sum,
                                    float* out) const = 0;
};

}  // namespace tessera

#endif  // TESSERA_SERVER_SHARD_BLOCK_MATH_H_
