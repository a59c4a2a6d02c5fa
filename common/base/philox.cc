#include "common/base/philox.h"

#include <cmath>
#include <numbers>

#include "common/base/philox_rounds.h"

namespace tessera {

std::array<uint32_t, 4> Philox4x32(std::array<uint32_t, 4> counter,
                                   std::array<uint32_t, 2> key) {
  const PhiloxBlock block = PhiloxRounds(
      {{counter[0], counter[1], counter[2], counter[3]}}, key[0], key[1]);
  return {block.words[0], block.words[1], block.words[2], block.words[3]};
}

float Philox::Uniform(uint64_t index) const {
  return static_cast<float>(Words(index)[0] >> 8) * 0x1p-24f;
}

float Philox::Normal(uint64_t index) const {
  const std::array<uint32_t, 4> words = Words(index);
  // In (0, 1], so that the logarithm is finite.
  const double u = (words[0] + 1.0) * 0x1p-32;
  const double v = words[1] * 0x1p-32;
  return static_cast<float>(std::sqrt(-2.0 * std::log(u)) *
                            std::cos(2.0 * std::numbers::pi * v));
}

uint64_t Philox::Below(uint64_t index, uint64_t bound) const {
  const std::array<uint32_t, 4> words = Words(index);
  const uint64_t bits = uint64_t{words[1]} << 32 | words[0];
  return static_cast<uint64_t>((static_cast<unsigned __int128>(bits) * bound) >>
                               64);
}

}  // namespace tessera
