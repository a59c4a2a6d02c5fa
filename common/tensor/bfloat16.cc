#include "common/tensor/bfloat16.h"

#include <cstring>

namespace tessera {
namespace {

static_assert(std::endian::native == std::endian::little,
              "values on the wire are taken for values in memory");

TESSERA_VECTOR_CLONES
void RoundRun(const float* from, uint8_t* to, size_t count) {
  TESSERA_INDEPENDENT_ELEMENTS
  for (size_t i = 0; i < count; ++i) {
    const uint16_t bits = ToBfloat16(from[i]);
    // Not std::memcpy: the C library's checks around that would keep clang from
    // making this loop a vector's.
    __builtin_memcpy(to + i * kBfloat16Bytes, &bits, kBfloat16Bytes);
  }
}

TESSERA_VECTOR_CLONES
void ExpandRun(const uint8_t* from, float* to, size_t count) {
  TESSERA_INDEPENDENT_ELEMENTS
  for (size_t i = 0; i < count; ++i) {
    uint16_t bits;
    std::memcpy(&bits, from + i * kBfloat16Bytes, kBfloat16Bytes);
    to[i] = FromBfloat16(bits);
  }
}

}  // namespace

void RoundToBfloat16(absl::Span<const float> from, uint8_t* to) {
  RoundRun(from.data(), to, from.size());
}

void ExpandBfloat16(const FragmentedBytes& from, float* to) {
  ForEachRun<kBfloat16Bytes>(
      from, [to](const uint8_t* values, size_t first, size_t count) {
        ExpandRun(values, to + first, count);
      });
}

}  // namespace tessera
