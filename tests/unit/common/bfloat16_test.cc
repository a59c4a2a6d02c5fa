#include "common/tensor/bfloat16.h"

#include <bit>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

namespace tessera {
namespace {

constexpr uint32_t kPatterns = 1 << 16;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

uint16_t RoundOne(float value) {
  uint8_t bytes[2];
  RoundToBfloat16({&value, 1}, bytes);
  uint16_t bits;
  std::memcpy(&bits, bytes, 2);
  return bits;
}

float Float(uint32_t bits) { return std::bit_cast<float>(bits); }

std::vector<uint8_t> Round(const std::vector<float>& values) {
  std::vector<uint8_t> bytes(2 * values.size());
  RoundToBfloat16(values, bytes.data());
  return bytes;
}

// The nearest of the two neighbours, worked out in double precision, in which
// every difference of floats so near each other is exact.
uint16_t Reference(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const auto down = static_cast<uint16_t>(bits >> 16);
  const auto up = static_cast<uint16_t>(down + 1);
  const double below = std::fabs(double{FromBfloat16(down)});
  // What would come after the largest bfloat16 if exponents went on.
  const double above =
      (up & 0x7fff) == 0x7f80 ? 0x1p128 : std::fabs(double{FromBfloat16(up)});
  const double to_below = std::fabs(double{value}) - below;
  const double to_above = above - std::fabs(double{value});
  if (to_below != to_above) return to_below < to_above ? down : up;
  return down % 2 == 0 ? down : up;
}

TEST_CASE("all bfloat16 patterns are the floats with 16 zero bits below") {
  std::vector<uint16_t> patterns(kPatterns);
  for (uint32_t i = 0; i < kPatterns; ++i) {
    patterns[i] = static_cast<uint16_t>(i);
  }
  std::vector<float> expanded(kPatterns);
  ExpandBfloat16(
      FragmentedBytes(
          {reinterpret_cast<const uint8_t*>(patterns.data()), 2 * kPatterns}),
      expanded.data());
  for (uint32_t i = 0; i < kPatterns; ++i) {
    REQUIRE(std::bit_cast<uint32_t>(expanded[i]) == i << 16);
  }
}

TEST_CASE("a bfloat16 stays itself, a NaN becomes quiet") {
  for (uint32_t i = 0; i < kPatterns; ++i) {
    const auto pattern = static_cast<uint16_t>(i);
    const bool is_nan = (pattern & 0x7fff) > 0x7f80;
    const uint16_t rounded = RoundOne(FromBfloat16(pattern));
    REQUIRE(rounded == (is_nan ? pattern | 0x40 : pattern));
  }
}

TEST_CASE("every neighbour of a bfloat16 and of a tie goes to the nearest") {
  std::vector<float> values;
  for (uint32_t i = 0; i < kPatterns; ++i) {
    if ((i & 0x7f80) == 0x7f80) continue;  // Infinities and NaNs.
    for (uint32_t low : {0u, 1u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu}) {
      values.push_back(Float(i << 16 | low));
    }
  }
  const std::vector<uint8_t> rounded = Round(values);
  for (size_t i = 0; i < values.size(); ++i) {
    uint16_t bits;
    std::memcpy(&bits, rounded.data() + 2 * i, 2);
    if (bits == Reference(values[i])) continue;
    CAPTURE(std::bit_cast<uint32_t>(values[i]), bits);
    REQUIRE(bits == Reference(values[i]));
  }
}

TEST_CASE("random floats go to the nearest, one by one or many at a time") {
  const uint64_t seed = GENERATE(take(3, random(1, 1 << 30)));
  CAPTURE(seed);
  std::mt19937 random(static_cast<uint32_t>(seed));
  std::vector<float> values;
  while (values.size() < 10000) {
    const float value = Float(random());
    if (std::isfinite(value)) values.push_back(value);
  }
  const std::vector<uint8_t> rounded = Round(values);
  for (size_t i = 0; i < values.size(); ++i) {
    uint16_t bits;
    std::memcpy(&bits, rounded.data() + 2 * i, 2);
    CAPTURE(std::bit_cast<uint32_t>(values[i]));
    REQUIRE(bits == Reference(values[i]));
    REQUIRE(ToBfloat16(values[i]) == bits);
  }
}

TEST_CASE("corners") {
  SECTION("ties go to even") {
    REQUIRE(RoundOne(Float(0x3f808000)) == 0x3f80);
    REQUIRE(RoundOne(Float(0x3f818000)) == 0x3f82);
    REQUIRE(RoundOne(Float(0xbf818000)) == 0xbf82);
  }
  SECTION("zeros keep their sign") {
    REQUIRE(RoundOne(0.0f) == 0);
    REQUIRE(RoundOne(-0.0f) == 0x8000);
  }
  SECTION("denormals") {
    const float least = std::numeric_limits<float>::denorm_min();
    REQUIRE(RoundOne(least) == 0);
    REQUIRE(RoundOne(-least) == 0x8000);
    REQUIRE(RoundOne(Float(0x8000)) == 0);  // Tie between 0 and 2^-133.
    REQUIRE(RoundOne(Float(0x8001)) == 1);
    REQUIRE(RoundOne(Float(0x18000)) == 2);          // Tie, to even.
    REQUIRE(RoundOne(Float(0x007fffff)) == 0x0080);  // To a normal number.
  }
  SECTION("too large becomes infinite") {
    REQUIRE(RoundOne(std::numeric_limits<float>::max()) == 0x7f80);
    REQUIRE(RoundOne(std::numeric_limits<float>::lowest()) == 0xff80);
    REQUIRE(RoundOne(0x1.ffp127f) == 0x7f80);  // Tie, to even.
    REQUIRE(RoundOne(std::nextafterf(0x1.ffp127f, 0)) == 0x7f7f);
  }
  SECTION("infinities") {
    REQUIRE(RoundOne(kInfinity) == 0x7f80);
    REQUIRE(RoundOne(-kInfinity) == 0xff80);
  }
  SECTION("NaNs stay NaNs, quiet ones") {
    REQUIRE(RoundOne(Float(0x7f800001)) == 0x7fc0);  // Signalling, low bit.
    REQUIRE(RoundOne(Float(0xff800001)) == 0xffc0);
    REQUIRE(RoundOne(Float(0x7fffffff)) == 0x7fff);  // Would wrap if rounded.
    REQUIRE(RoundOne(Float(0xffffffff)) == 0xffff);
    REQUIRE(RoundOne(Float(0x7fa00000)) == 0x7fe0);
  }
}

TEST_CASE("every length and misalignment, and nothing past the end") {
  std::vector<float> values(80);
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = 1.0f / static_cast<float>(i + 1);
  }
  for (size_t count = 0; count <= 70; ++count) {
    for (size_t shift = 0; shift < 4; ++shift) {
      CAPTURE(count, shift);
      std::vector<uint8_t> bytes(2 * count + shift + 2, 0xa5);
      RoundToBfloat16(absl::MakeConstSpan(values).subspan(shift, count),
                      bytes.data() + shift);
      REQUIRE(bytes[2 * count + shift] == 0xa5);
      REQUIRE(bytes[2 * count + shift + 1] == 0xa5);
      std::vector<float> back(count + 1, -1);
      ExpandBfloat16(FragmentedBytes({bytes.data() + shift, 2 * count}),
                     back.data());
      REQUIRE(back[count] == -1);
      for (size_t i = 0; i < count; ++i) {
        REQUIRE(back[i] == FromBfloat16(ToBfloat16(values[shift + i])));
      }
    }
  }
}

TEST_CASE("pieces may be cut anywhere") {
  const std::vector<float> values = {1.5f, -2.25f, 3e20f, 0.125f, -7.0f};
  const std::vector<uint8_t> bytes = Round(values);
  for (size_t first = 0; first <= bytes.size(); ++first) {
    for (size_t second = first; second <= bytes.size(); ++second) {
      FragmentedBytes cut;
      cut.Append({bytes.data(), first});
      cut.Append({bytes.data() + first, second - first});
      cut.Append({bytes.data() + second, bytes.size() - second});
      std::vector<float> back(values.size());
      ExpandBfloat16(cut, back.data());
      for (size_t i = 0; i < values.size(); ++i) {
        REQUIRE(back[i] == FromBfloat16(ToBfloat16(values[i])));
      }
    }
  }
}

}  // namespace
}  // namespace tessera
