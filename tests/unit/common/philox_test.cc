#include "common/base/philox.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <set>

namespace tessera {
namespace {

using Words = std::array<uint32_t, 4>;

// Known answers of Random123, the authors' own library (kat_vectors).
TEST_CASE("Philox4x32-10 gives the published answers") {
  REQUIRE(Philox4x32({0, 0, 0, 0}, {0, 0}) ==
          Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  REQUIRE(Philox4x32({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}) ==
          Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  REQUIRE(Philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
                     {0xa4093822, 0x299f31d0}) ==
          Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("seed, stream, substream and index all matter") {
  const Philox base(1, RandomStream::kSampling, 0);
  const std::set<Words> distinct = {
      base.Words(0),
      base.Words(1),
      base.Words(uint64_t{1} << 32),
      Philox(2, RandomStream::kSampling, 0).Words(0),
      Philox(uint64_t{1} << 32 | 1, RandomStream::kSampling, 0).Words(0),
      Philox(1, RandomStream::kDropout, 0).Words(0),
      Philox(1, RandomStream::kSampling, 1).Words(0)};
  REQUIRE(distinct.size() == 7);
}

TEST_CASE("uniform and normal numbers have their moments") {
  const Philox philox(7, RandomStream::kGeneratedData);
  const int count = 200000;
  double uniform_sum = 0, normal_sum = 0, normal_squares = 0;
  for (int i = 0; i < count; ++i) {
    const float u = philox.Uniform(i);
    REQUIRE((u >= 0 && u < 1));
    uniform_sum += u;
    const double n = philox.Normal(i);
    normal_sum += n;
    normal_squares += n * n;
  }
  // Five standard errors.
  REQUIRE(std::abs(uniform_sum / count - 0.5) < 5 * 0.2887 / std::sqrt(count));
  REQUIRE(std::abs(normal_sum / count) < 5 / std::sqrt(count));
  REQUIRE(std::abs(normal_squares / count - 1) < 5 * std::sqrt(2.0 / count));
}

TEST_CASE("numbers below a bound reach all of them") {
  const Philox philox(3, RandomStream::kSampling);
  std::set<uint64_t> seen;
  for (int i = 0; i < 500; ++i) {
    const uint64_t value = philox.Below(i, 10);
    REQUIRE(value < 10);
    seen.insert(value);
  }
  REQUIRE(seen.size() == 10);
}

}  // namespace
}  // namespace tessera
