// Sums on the GPU against the CPU's, bit for bit.

#include <algorithm>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "common/tensor/bfloat16.h"
#include "server/shard/cpu/cpu_block_math.h"
#include "server/shard/cuda/cuda_block_math.h"
#include "tests/unit/shard/test_shards.h"
#include "tests/unit/shard_cuda/stand_in_gpu.h"

namespace tessera {
namespace {

constexpr size_t kMaxPayloadBytes = 64 << 10;

struct Gpu {
  std::unique_ptr<Device> device = MakeStandInGpu();
  std::shared_ptr<GradientLanes> lanes =
      *GradientLanes::Create(*device, kMaxPayloadBytes);
  std::unique_ptr<BlockMath> math = MakeCudaBlockMath(lanes);
};

// A payload in either encoding, and held terms.
struct Case {
  Case(v1::Encoding e, int64_t elements, int terms)
      : encoding(e), values(TestGradient(0, 0, elements)) {
    for (int k = 0; k < terms; ++k) {
      held.push_back(TestGradient(1, k, elements));
    }
    Encode();
  }

  void Encode() {
    bytes.resize(values.size() * BytesPerValue(encoding));
    if (encoding == v1::ENCODING_BFLOAT16) {
      RoundToBfloat16(values, bytes.data());
    } else {
      std::memcpy(bytes.data(), values.data(), bytes.size());
    }
  }

  std::vector<float> OnCpu() const {
    GradientSum sum{.payload = FragmentedBytes(bytes), .encoding = encoding};
    for (const auto& term : held) sum.held.push_back(term.data());
    std::vector<float> out(values.size());
    REQUIRE_OK(MakeCpuBlockMath()->Fold(sum, out.data()));
    return out;
  }

  v1::Encoding encoding;
  std::vector<float> values;
  std::vector<std::vector<float>> held;
  std::vector<uint8_t> bytes;
};

struct GpuResult {
  bool is_finite;
  std::vector<float> out;
};

// With every array `offset` values past an aligned address.
GpuResult OnGpu(Gpu& gpu, const Case& c, size_t offset = 0) {
  std::vector<std::unique_ptr<GpuArray>> held;
  GradientSum sum{.payload = FragmentedBytes(c.bytes), .encoding = c.encoding};
  for (const auto& term : c.held) {
    held.push_back(std::make_unique<GpuArray>(*gpu.device, term, offset));
    sum.held.push_back(held.back()->data());
  }
  const GpuArray out(*gpu.device, c.values.size(), offset);
  const auto is_finite = gpu.math->Fold(sum, out.data());
  REQUIRE_OK(is_finite);
  return {*is_finite, out.Fetch()};
}

TEST_CASE("sums are the CPU's for every length, number of terms, address") {
  const auto encoding = GENERATE(v1::ENCODING_FLOAT32, v1::ENCODING_BFLOAT16);
  const int64_t elements =
      GENERATE(1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 1023, 1024, 1025, 4097, 5000);
  CAPTURE(static_cast<int>(encoding), elements);
  Gpu gpu;
  for (int terms : {0, 1, 2, 3, 4, 5, 9}) {
    const Case c(encoding, elements, terms);
    const std::vector<float> expected = c.OnCpu();
    for (size_t offset : {0, 1, 2, 3}) {
      CAPTURE(terms, offset);
      const GpuResult result = OnGpu(gpu, c, offset);
      REQUIRE(result.is_finite);
      REQUIRE(result.out == expected);
    }
  }
}

TEST_CASE("one array that is not aligned is enough to go one by one") {
  Gpu gpu;
  const Case c(v1::ENCODING_FLOAT32, 37, 2);
  const GpuArray a(*gpu.device, c.held[0]);
  const GpuArray b(*gpu.device, c.held[1], 1);
  const GpuArray out(*gpu.device, c.values.size());
  const GradientSum sum{.payload = FragmentedBytes(c.bytes),
                        .held = {a.data(), b.data()}};
  REQUIRE_OK(gpu.math->Fold(sum, out.data()));
  REQUIRE(out.Fetch() == c.OnCpu());
}

TEST_CASE("a number that is none is seen wherever it is") {
  using Limits = std::numeric_limits<float>;
  const float bad = GENERATE(values<float>(
      {Limits::quiet_NaN(), Limits::infinity(), -Limits::infinity()}));
  const auto encoding = GENERATE(v1::ENCODING_FLOAT32, v1::ENCODING_BFLOAT16);
  const size_t elements = GENERATE(1, 4, 7, 1024, 1030);
  const uint64_t seed = GENERATE(take(3, random(1, 1 << 30)));
  CAPTURE(bad, elements, seed);
  std::mt19937_64 random(seed);
  Gpu gpu;
  Case c(encoding, static_cast<int64_t>(elements), 2);
  c.values[random() % elements] = bad;
  c.Encode();
  REQUIRE_FALSE(OnGpu(gpu, c, random() % 2).is_finite);
  // And nobody remembers it.
  c.values = TestGradient(5, 0, static_cast<int64_t>(elements));
  c.Encode();
  REQUIRE(OnGpu(gpu, c).is_finite);
}

TEST_CASE("a sum that is too large for float32 is seen") {
  Gpu gpu;
  Case c(v1::ENCODING_FLOAT32, 100, 1);
  c.values[99] = std::numeric_limits<float>::max();
  c.Encode();
  REQUIRE(OnGpu(gpu, c).is_finite);
  c.held[0][99] = std::numeric_limits<float>::max();
  REQUIRE_FALSE(OnGpu(gpu, c).is_finite);
}

}  // namespace
}  // namespace tessera
