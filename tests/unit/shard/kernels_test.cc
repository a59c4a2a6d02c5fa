// Sums and checks on the CPU, against loops that anyone can read.

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "server/shard/cpu/cpu_block_math.h"
#include "server/shard/cpu/sum_run.h"
#include "server/shard/finite.h"
#include "tests/support/status.h"
#include "tests/unit/shard/test_shards.h"

namespace tessera {
namespace {

// Payload plus `terms` held vectors, in the order of GradientSum.
std::vector<float> PlainSum(const std::vector<float>& payload,
                            const std::vector<std::vector<float>>& terms) {
  std::vector<float> sum = payload;
  for (const std::vector<float>& term : terms) {
    for (size_t i = 0; i < sum.size(); ++i) sum[i] += term[i];
  }
  return sum;
}

std::vector<std::vector<float>> Terms(int count, int64_t elements) {
  std::vector<std::vector<float>> terms;
  for (int k = 0; k < count; ++k) {
    terms.push_back(TestGradient(1, k, elements));
  }
  return terms;
}

GradientSum SumOf(const FragmentedBytes& payload,
                  const std::vector<std::vector<float>>& terms) {
  GradientSum sum{.payload = payload, .held = {}};
  for (const auto& term : terms) sum.held.push_back(term.data());
  return sum;
}

TEST_CASE("sums are the plain loop's for every length and number of terms") {
  const int64_t elements = GENERATE(1, 2, 3, 7, 15, 16, 17, 31, 33, 63, 65, 100,
                                    2047, 2048, 2049, 4096, 4097, 10000);
  const int terms = GENERATE(0, 1, 2, 3, 4, 5, 9);
  CAPTURE(elements, terms);
  const auto math = MakeCpuBlockMath();
  const std::vector<float> payload = TestGradient(0, 0, elements);
  const auto held = Terms(terms, elements);
  std::vector<float> out(payload.size());
  REQUIRE_OK(
      math->Fold(SumOf(FragmentedBytes::OfFloats(payload), held), out.data()));
  REQUIRE(out == PlainSum(payload, held));
}

TEST_CASE("a payload cut anywhere gives the same sum") {
  constexpr int64_t kElements = 9;
  const auto math = MakeCpuBlockMath();
  const std::vector<float> payload = TestGradient(0, 0, kElements);
  const auto held = Terms(2, kElements);
  const auto* bytes = reinterpret_cast<const uint8_t*>(payload.data());
  const size_t total = payload.size() * sizeof(float);
  for (size_t first = 0; first <= total; ++first) {
    for (size_t second = first; second <= total; ++second) {
      CAPTURE(first, second);
      // In memory of their own, so that reading past an end is seen.
      const std::vector<uint8_t> a(bytes, bytes + first);
      const std::vector<uint8_t> b(bytes + first, bytes + second);
      const std::vector<uint8_t> c(bytes + second, bytes + total);
      FragmentedBytes pieces;
      for (const auto* piece : {&a, &b, &c}) pieces.Append(*piece);
      std::vector<float> out(payload.size());
      REQUIRE_OK(math->Fold(SumOf(pieces, held), out.data()));
      REQUIRE(out == PlainSum(payload, held));
    }
  }
}

TEST_CASE("a payload at any address gives the same sum") {
  const size_t offset = GENERATE(range(0, 8));
  const std::vector<float> payload = TestGradient(0, 0, 1001);
  std::vector<uint8_t> bytes(offset + payload.size() * sizeof(float));
  std::memcpy(bytes.data() + offset, payload.data(), bytes.size() - offset);
  const FragmentedBytes view(absl::MakeConstSpan(bytes).subspan(offset));
  const auto held = Terms(1, 1001);
  std::vector<float> out(payload.size());
  REQUIRE_OK(MakeCpuBlockMath()->Fold(SumOf(view, held), out.data()));
  REQUIRE(out == PlainSum(payload, held));
}

TEST_CASE("a sum may take the place of its first term") {
  const uint64_t seed = GENERATE(take(20, random(1, 1 << 30)));
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  const auto elements = static_cast<int64_t>(1 + random() % 6000);
  const std::vector<float> payload = TestGradient(0, 0, elements);
  auto held = Terms(1 + static_cast<int>(random() % 7), elements);
  const std::vector<float> expected = PlainSum(payload, held);
  const CutBytes cut(payload, random);
  REQUIRE_OK(
      MakeCpuBlockMath()->Fold(SumOf(cut.bytes(), held), held[0].data()));
  REQUIRE(held[0] == expected);
}

TEST_CASE("runs cover the sum once, in order") {
  const int64_t elements = GENERATE(1, 2048, 5000);
  const int terms = GENERATE(0, 4, 5);
  const std::vector<float> payload = TestGradient(0, 0, elements);
  const auto held = Terms(terms, elements);
  std::vector<float> seen;
  ForEachSumRun(SumOf(FragmentedBytes::OfFloats(payload), held),
                [&](const SumRun& run, size_t first, size_t count) {
                  REQUIRE(first == seen.size());
                  seen.resize(first + count);
                  FoldRun(run, count, seen.data() + first);
                });
  REQUIRE(seen == PlainSum(payload, held));
}

TEST_CASE("the first value that is no number is found wherever it is") {
  using Limits = std::numeric_limits<float>;
  const float bad =
      GENERATE(values<float>({Limits::quiet_NaN(), Limits::signaling_NaN(),
                              Limits::infinity(), -Limits::infinity()}));
  const size_t elements = GENERATE(1, 16, 17, 4095, 4096, 4097, 9000);
  const uint64_t seed = GENERATE(take(3, random(1, 1 << 30)));
  CAPTURE(seed, elements);
  std::mt19937_64 random(seed);
  std::vector<float> values(elements, Limits::max());
  values[0] = -Limits::denorm_min();
  REQUIRE(FindNonFinite(FragmentedBytes::OfFloats(values)) == std::nullopt);
  const size_t first = random() % elements;
  values[first] = bad;
  values[first + random() % (elements - first)] = bad;
  REQUIRE(FindNonFinite(FragmentedBytes::OfFloats(values)) == first);
  const CutBytes cut(values, random);
  REQUIRE(FindNonFinite(cut.bytes()) == first);
}

TEST_CASE("no payload has no bad value") {
  REQUIRE(FindNonFinite(FragmentedBytes()) == std::nullopt);
}

}  // namespace
}  // namespace tessera
