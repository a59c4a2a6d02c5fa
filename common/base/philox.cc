#include "common/base/philox.h"

#include <cmath>
#include <numbers>

namespace tessera {
namespace {

constexpr uint32_t kMultiplier0 = 0xD2511F53;
constexpr uint32_t kMultiplier1 = 0xCD9E8D57;
constexpr uint32_t kWeyl0 = 0x9E3779B9;
constexpr uint32_t kWeyl1 = 0xBB67AE85;
constexpr int kRounds = 10;

std::array<uint32_t, 4> Round(const std::array<uint32_t, 4>& c,
                              const std::array<uint32_t, 2>& k) {
  const uint64_t product0 = uint64_t{kMultiplier0} * c[0];
  const uint64_t product1 = uint64_t{kMultiplier1} * c[2];
  return {static_cast<uint32_t>(product1 >> 32) ^ c[1] ^ k[0],
          static_cast<uint32_t>(product1),
          static_cast<uint32_t>(product0 >> 32) ^ c[3] ^ k[1],
          static_cast<uint32_t>(product0)};
}

}  // namespace

std::array<uint32_t, 4> Philox4x32(std::array<uint32_t, 4> counter,
                                   std::array<uint32_t, 2> key) {
  for (int round = 0; round < kRounds; ++round) {
    if (round > 0) {
      key[0] += kWeyl0;
      key[1] += kWeyl1;
    }
    counter = Round(counter, key);
  }
  return counter;
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
