// Notices numbers that are none as they pass by.

#ifndef TESSERA_SERVER_SHARD_CPU_FINITE_CHECK_H_
#define TESSERA_SERVER_SHARD_CPU_FINITE_CHECK_H_

#include <algorithm>
#include <bit>
#include <cstdint>

#include "common/base/vectorize.h"

namespace tessera {

// For loops over elements: costs an `and` and a `max` for each, and no branch.
class FiniteCheck {
 public:
  TESSERA_INLINE_LOOP void See(float value) {
    // Without the sign, bits are ordered as magnitudes are; infinity and then
    // NaNs come last.
    const uint32_t magnitude = std::bit_cast<uint32_t>(value) & 0x7fffffff;
    largest_ = std::max(largest_, magnitude);
  }

  // Whether everything seen was finite.
  TESSERA_INLINE_LOOP bool passed() const { return largest_ < 0x7f800000; }

 private:
  uint32_t largest_ = 0;
};

}  // namespace tessera

#endif  // TESSERA_SERVER_SHARD_CPU_FINITE_CHECK_H_
