#include "server/shard/finite.h"

#include <cmath>
#include <cstdint>
#include <cstring>

#include "common/tensor/bfloat16.h"

namespace tessera {
namespace {

float Widen(float value) { return value; }
float Widen(uint16_t bits) { return FromBfloat16(bits); }

// `Value` as it lies in the payload.
template <typename Value>
std::optional<NonFinite> Find(const FragmentedBytes& payload) {
  std::optional<NonFinite> found;
  ForEachRun<sizeof(Value)>(
      payload, [&found](const uint8_t* values, size_t first, size_t count) {
        for (size_t i = 0; i < count && !found.has_value(); ++i) {
          Value value;
          std::memcpy(&value, values + i * sizeof(value), sizeof(value));
          if (std::isfinite(Widen(value))) continue;
          found = {.index = first + i, .value = Widen(value)};
        }
      });
  return found;
}

}  // namespace

std::optional<NonFinite> FindNonFinite(const FragmentedBytes& payload,
                                       v1::Encoding encoding) {
  return encoding == v1::ENCODING_BFLOAT16 ? Find<uint16_t>(payload)
                                           : Find<float>(payload);
}

}  // namespace tessera
