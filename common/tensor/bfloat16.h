// bfloat16, the upper half of a float32: the sign, all 8 bits of the exponent,
// and 7 of the 23 bits of the fraction. Values lie in 2 bytes, little endian
// (ENCODING_BFLOAT16).

#ifndef TESSERA_COMMON_TENSOR_BFLOAT16_H_
#define TESSERA_COMMON_TENSOR_BFLOAT16_H_

#include <bit>
#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "common/base/vectorize.h"
#include "common/tensor/fragments.h"

namespace tessera {

inline constexpr size_t kBfloat16Bytes = 2;

// Rounds to nearest, ties to even, as IEEE 754 rounds:
//   finite      off by at most half a unit of the 8th significant bit, that is
//               by 2^-8 of the value at most; denormals by 2^-134; zeros keep
//               their sign
//   too large   from 0x1.ffp127 (3.396e38) on, halfway between the largest
//               bfloat16 and the next that would be: infinity
//   infinity    itself
//   NaN         a quiet NaN with the same sign and the payload's upper bits
TESSERA_INLINE_LOOP inline uint16_t ToBfloat16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  // Half a unit of what stays, less one where that leaves a tie even. A carry
  // out of the fraction goes to the exponent, where it belongs.
  const uint32_t rounded = bits + 0x7fff + ((bits >> 16) & 1);
  const uint32_t quiet = bits | 0x400000;
  const bool is_nan = (bits & 0x7fffffff) > 0x7f800000;
  return static_cast<uint16_t>((is_nan ? quiet : rounded) >> 16);
}

// The same value; every bfloat16 is a float32.
TESSERA_INLINE_LOOP inline float FromBfloat16(uint16_t bits) {
  return std::bit_cast<float>(uint32_t{bits} << 16);
}

// Writes the values' nearest bfloat16 to `to`, 2 bytes each, with no alignment.
// The two must not overlap.
void RoundToBfloat16(absl::Span<const float> from, uint8_t* to);

// Writes the float32 of each of `from`'s bfloat16 to `to`. Pieces may be cut
// inside a value; the size must be a multiple of 2. The two must not overlap.
void ExpandBfloat16(const FragmentedBytes& from, float* to);

}  // namespace tessera

#endif  // TESSERA_COMMON_TENSOR_BFLOAT16_H_
