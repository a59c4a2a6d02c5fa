// Sums and checks on the CPU, against loops that anyone can read.

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <optional>
#include <random>
#include <vector>

#include "common/tensor/bfloat16.h"
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
                  const std::vector<std::vector<float>>& terms,
                  v1::Encoding encoding = v1::ENCODING_FLOAT32) {
  GradientSum sum{.payload = payload, .encoding = encoding, .held = {}};
  for (const auto& term : terms) sum.held.push_back(term.data());
  return sum;
}

std::vector<float> Fold(const GradientSum& sum) {
  std::vector<float> out(sum.elements());
  const auto is_finite = MakeCpuBlockMath()->Fold(sum, out.data());
  REQUIRE_OK(is_finite);
  REQUIRE(*is_finite);
  return out;
}

// A payload in bfloat16, and the values that it stands for.
struct RoundedPayload {
  explicit RoundedPayload(const std::vector<float>& exact)
      : bytes(exact.size() * kBfloat16Bytes) {
    RoundToBfloat16(exact, bytes.data());
    for (float value : exact) {
      values.push_back(FromBfloat16(ToBfloat16(value)));
    }
  }
  std::vector<uint8_t> bytes;
  std::vector<float> values;
};

TEST_CASE("sums are the plain loop's for every length and number of terms") {
  const int64_t elements = GENERATE(1, 2, 3, 7, 15, 16, 17, 31, 33, 63, 65, 100,
                                    2047, 2048, 2049, 4096, 4097, 10000);
  const int terms = GENERATE(0, 1, 2, 3, 4, 5, 9);
  CAPTURE(elements, terms);
  const std::vector<float> payload = TestGradient(0, 0, elements);
  const auto held = Terms(terms, elements);
  REQUIRE(Fold(SumOf(FragmentedBytes::OfFloats(payload), held)) ==
          PlainSum(payload, held));
  const RoundedPayload rounded(payload);
  REQUIRE(Fold(SumOf(FragmentedBytes(rounded.bytes), held,
                     v1::ENCODING_BFLOAT16)) == PlainSum(rounded.values, held));
}

TEST_CASE("a bfloat16 payload cut anywhere gives the same sum") {
  constexpr int64_t kElements = 9;
  const RoundedPayload rounded(TestGradient(0, 0, kElements));
  const auto held = Terms(GENERATE(0, 2, 5), kElements);
  const size_t total = rounded.bytes.size();
  for (size_t first = 0; first <= total; ++first) {
    for (size_t second = first; second <= total; ++second) {
      CAPTURE(first, second);
      const auto at = rounded.bytes.begin();
      const std::vector<uint8_t> a(at, at + first);
      const std::vector<uint8_t> b(at + first, at + second);
      const std::vector<uint8_t> c(at + second, at + total);
      FragmentedBytes pieces;
      for (const auto* piece : {&a, &b, &c}) pieces.Append(*piece);
      REQUIRE(Fold(SumOf(pieces, held, v1::ENCODING_BFLOAT16)) ==
              PlainSum(rounded.values, held));
    }
  }
}

TEST_CASE("a payload cut anywhere gives the same sum") {
  constexpr int64_t kElements = 9;
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
      REQUIRE(Fold(SumOf(pieces, held)) == PlainSum(payload, held));
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
  REQUIRE(Fold(SumOf(view, held)) == PlainSum(payload, held));
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
                  return FoldRun(run, count, seen.data() + first);
                });
  REQUIRE(seen == PlainSum(payload, held));
}

using Limits = std::numeric_limits<float>;

TEST_CASE("a value that is none shows in the sum, wherever it is") {
  const size_t elements = GENERATE(1, 16, 17, 1000, 4097);
  const int terms = GENERATE(0, 1, 4, 6);
  const uint64_t seed = GENERATE(take(3, random(1, 1 << 30)));
  CAPTURE(elements, terms, seed);
  std::mt19937_64 random(seed);
  const size_t at = random() % elements;
  const auto math = MakeCpuBlockMath();
  // As large as can be without the sum becoming too large.
  auto held = std::vector<std::vector<float>>(
      static_cast<size_t>(terms), std::vector<float>(elements, 0x1p120f));
  std::vector<float> values(elements, -0x1.fp126f);
  std::vector<float> out(elements);
  for (float bad : {Limits::quiet_NaN(), Limits::signaling_NaN(),
                    Limits::infinity(), -Limits::infinity()}) {
    values[at] = bad;
    const CutBytes cut(values, random);
    REQUIRE_FALSE(*math->Fold(SumOf(cut.bytes(), held), out.data()));
    const RoundedPayload rounded(values);
    REQUIRE_FALSE(*math->Fold(
        SumOf(FragmentedBytes(rounded.bytes), held, v1::ENCODING_BFLOAT16),
        out.data()));
  }
  values[at] = Limits::denorm_min();
  REQUIRE(
      *math->Fold(SumOf(FragmentedBytes::OfFloats(values), held), out.data()));
}

TEST_CASE("a sum that grows too large on the way is not finite") {
  std::vector<float> payload(40, 1);
  std::vector<std::vector<float>> held(GENERATE(1, 2, 4, 5, 8),
                                       std::vector<float>(40, 1));
  payload[33] = Limits::max();
  held[0][33] = 0x1p103f;  // Half a unit of the last place.
  // Nothing that follows brings it back.
  if (held.size() > 1) held[1][33] = Limits::lowest();
  std::vector<float> out(40);
  const auto math = MakeCpuBlockMath();
  const auto sum = SumOf(FragmentedBytes::OfFloats(payload), held);
  REQUIRE_FALSE(*math->Fold(sum, out.data()));
  held[0][33] = 0x1.fffffep102f;
  REQUIRE(*math->Fold(sum, out.data()));
}

TEST_CASE("the first value that is no number is found wherever it is") {
  const float bad =
      GENERATE(values<float>({Limits::quiet_NaN(), Limits::signaling_NaN(),
                              Limits::infinity(), -Limits::infinity()}));
  const size_t elements = GENERATE(1, 16, 17, 4096, 9000);
  const uint64_t seed = GENERATE(take(3, random(1, 1 << 30)));
  CAPTURE(seed, elements);
  std::mt19937_64 random(seed);
  // The largest bfloat16.
  std::vector<float> values(elements, 0x1.fep127f);
  values[0] = -Limits::denorm_min();
  const size_t first = random() % elements;
  const auto require = [&](std::optional<size_t> expected) {
    const CutBytes cut(values, random);
    const RoundedPayload rounded(values);
    for (const auto& found : {FindNonFinite(cut.bytes(), v1::ENCODING_FLOAT32),
                              FindNonFinite(FragmentedBytes(rounded.bytes),
                                            v1::ENCODING_BFLOAT16)}) {
      REQUIRE(found.has_value() == expected.has_value());
      if (!expected.has_value()) continue;
      REQUIRE(found->index == *expected);
      REQUIRE(std::isnan(found->value) == std::isnan(bad));
      if (!std::isnan(bad)) REQUIRE(found->value == bad);
    }
  };
  require(std::nullopt);
  values[first] = bad;
  values[first + random() % (elements - first)] = bad;
  require(first);
}

TEST_CASE("no payload has no bad value") {
  REQUIRE_FALSE(FindNonFinite({}, v1::ENCODING_FLOAT32).has_value());
  REQUIRE_FALSE(FindNonFinite({}, v1::ENCODING_BFLOAT16).has_value());
}

}  // namespace
}  // namespace tessera
