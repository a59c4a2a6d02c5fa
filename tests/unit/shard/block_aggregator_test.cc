#include "server/shard/block_aggregator.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <random>

#include "common/device/make_device.h"
#include "common/tensor/bfloat16.h"
#include "server/shard/cpu/cpu_block_math.h"
#include "tests/support/status.h"
#include "tests/unit/shard/test_shards.h"

namespace tessera {
namespace {

using Outcome = BlockAggregator::Outcome;

// An aggregator of one block with its surroundings.
struct Harness {
  explicit Harness(int microbatches) : tree(microbatches) {}

  absl::StatusOr<BlockAggregator::Result> Add(const MicrobatchRange& range,
                                              const std::vector<float>& values,
                                              double loss = 0) {
    return aggregator.Add(range, FragmentedBytes::OfFloats(values), loss);
  }

  // What a completing result comes to.
  std::vector<float> Total(const BlockAggregator::Result& result) const {
    std::vector<float> out(result.total.payload.size() / sizeof(float));
    REQUIRE_OK(math->Fold(result.total, out.data()));
    return out;
  }

  ReductionTree tree;
  std::unique_ptr<Device> device = *MakeDevice("cpu");
  std::unique_ptr<BlockMath> math = MakeCpuBlockMath();
  BufferPool pool{*device, MemoryKind::kDevice};
  BlockAggregator aggregator{tree, *math, pool, v1::ENCODING_FLOAT32};
};

std::vector<MicrobatchRange> AllNodes(const ReductionTree& tree) {
  std::vector<MicrobatchRange> nodes;
  for (int begin = 0; begin < tree.microbatches(); ++begin) {
    for (int end = begin + 1; end <= tree.microbatches(); ++end) {
      if (tree.IsNode({begin, end})) nodes.push_back({begin, end});
    }
  }
  return nodes;
}

// Microbatch m's gradient is 2^m in every element, so a sum's bits say which
// microbatches are in it, and a second helping of one would carry.
float MaskOf(const MicrobatchRange& range) {
  return std::ldexp(1.0f, range.end) - std::ldexp(1.0f, range.begin);
}

TEST_CASE("every sum shows each of its microbatches once, whatever arrives") {
  const uint64_t seed = GENERATE(take(40, random(1, 1 << 30)));
  std::mt19937_64 random(seed);
  const int microbatches = 1 + static_cast<int>(random() % 20);
  CAPTURE(seed, microbatches);
  Harness h(microbatches);
  const std::vector<MicrobatchRange> nodes = AllNodes(h.tree);
  bool is_complete = false;
  int pushes = 0;
  while (!is_complete) {
    REQUIRE(++pushes < 10000);
    const MicrobatchRange range = nodes[random() % nodes.size()];
    // Large ranges seldom, or the first push would often be all of them.
    if (range.size() > 1 && random() % (range.size() * 4) != 0) continue;
    const bool covered = std::ranges::any_of(
        h.aggregator.held(),
        [&](const PartialSum& sum) { return sum.range.Contains(range); });
    const std::vector<float> values(5, MaskOf(range));
    const auto result = h.Add(range, values, MaskOf(range));
    REQUIRE_OK(result);
    REQUIRE((result->outcome == Outcome::kDuplicate) == covered);
    is_complete = result->outcome == Outcome::kCompletes;
    if (is_complete) {
      const float all = MaskOf(h.tree.root());
      REQUIRE(h.Total(*result) == std::vector<float>(5, all));
      REQUIRE(result->total_loss == all);
    }
    for (const PartialSum& sum : h.aggregator.held()) {
      CAPTURE(ToString(sum.range));
      REQUIRE(h.tree.IsNode(sum.range));
      REQUIRE(sum.values.floats()[4] == MaskOf(sum.range));
      REQUIRE(sum.loss_sum == MaskOf(sum.range));
    }
  }
}

TEST_CASE("the sum is the tree's, to the bit, for every arrival order") {
  const int microbatches = GENERATE(range(1, 18));
  const uint64_t seed = GENERATE(take(5, random(1, 1 << 30)));
  CAPTURE(microbatches, seed);
  std::mt19937_64 random(seed);
  constexpr int64_t kElements = 33;
  Harness h(microbatches);
  const std::vector<float> expected =
      TreeSum(h.tree, 0, h.tree.root(), kElements);
  std::vector<int> order;
  for (int m = 0; m < microbatches; ++m) order.push_back(m);
  std::shuffle(order.begin(), order.end(), random);
  for (size_t i = 0; i < order.size(); ++i) {
    const int m = order[i];
    const std::vector<float> gradient = TestGradient(0, m, kElements);
    const auto result = h.Add({m, m + 1}, gradient, 0.1 * m);
    REQUIRE_OK(result);
    const bool is_last = i + 1 == order.size();
    REQUIRE(result->outcome ==
            (is_last ? Outcome::kCompletes : Outcome::kAdded));
    if (is_last) REQUIRE(h.Total(*result) == expected);
  }
}

TEST_CASE("a completing push changes nothing until Clear") {
  Harness h(2);
  REQUIRE_OK(h.Add({0, 1}, {1, 2}));
  const std::vector<float> last = {10, 20};
  for (int repeat = 0; repeat < 2; ++repeat) {
    const auto result = h.Add({1, 2}, last);
    REQUIRE_OK(result);
    REQUIRE(result->outcome == Outcome::kCompletes);
    REQUIRE(h.Total(*result) == std::vector<float>{11, 22});
  }
  h.aggregator.Clear();
  REQUIRE(h.aggregator.held().empty());
  REQUIRE(h.Add({0, 1}, {1, 2})->outcome == Outcome::kAdded);
}

TEST_CASE("a range that covers held ones takes their place") {
  Harness h(8);
  REQUIRE_OK(h.Add({0, 1}, {1}));
  REQUIRE_OK(h.Add({2, 3}, {4}));
  REQUIRE_OK(h.Add({6, 7}, {64}));
  REQUIRE(h.Add({0, 4}, {15})->outcome == Outcome::kAdded);
  const auto held = h.aggregator.held();
  REQUIRE(held.size() == 2);
  REQUIRE(held[0].range == MicrobatchRange{0, 4});
  REQUIRE(held[0].values.floats()[0] == 15);
  // Theirs, and the one that the sum was written to while they were there.
  REQUIRE(h.pool.usage().in_use_bytes == 2 * sizeof(float));
  REQUIRE(h.pool.usage().total_bytes == 4 * sizeof(float));
}

TEST_CASE("pushes in order need no more sums than the tree is high") {
  Harness h(16);
  for (int m = 0; m < 15; ++m) {
    REQUIRE_OK(h.Add({m, m + 1}, std::vector<float>(16)));
  }
  REQUIRE(h.aggregator.held().size() == 4);
  // The one that a push under way writes to is among them.
  REQUIRE(h.pool.usage().total_bytes == 4 * 64);
}

TEST_CASE("a sum that is not finite is not kept, whatever it was added to") {
  using Limits = std::numeric_limits<float>;
  Harness h(8);
  REQUIRE_OK(h.Add({0, 1}, {Limits::max(), 1}));
  REQUIRE_OK(h.Add({2, 3}, {1, 1}));
  const MicrobatchRange range =
      GENERATE(values<MicrobatchRange>({{1, 2}, {3, 4}, {6, 7}, {0, 4}}));
  // A value that is none; and, on top of {0, 1}, a sum that is too large.
  const float bad = GENERATE(values<float>(
      {Limits::infinity(), -Limits::infinity(), Limits::quiet_NaN()}));
  CAPTURE(ToString(range), bad);
  REQUIRE(h.Add(range, {1, bad})->outcome == Outcome::kNotFinite);
  REQUIRE(h.Add({1, 2}, {0x1p103f, 1})->outcome == Outcome::kNotFinite);
  const auto held = h.aggregator.held();
  REQUIRE(held.size() == 2);
  REQUIRE(held[0].range == MicrobatchRange{0, 1});
  REQUIRE(held[0].values.floats()[0] == Limits::max());
  REQUIRE(held[1].range == MicrobatchRange{2, 3});
  REQUIRE(held[1].values.floats()[1] == 1);
  REQUIRE(h.pool.usage().in_use_bytes == 4 * sizeof(float));
  REQUIRE(h.Add({1, 2}, {1, 2})->outcome == Outcome::kAdded);
}

TEST_CASE("rounded payloads are added in float32") {
  const ReductionTree tree(4);
  const auto device = *MakeDevice("cpu");
  const auto math = MakeCpuBlockMath();
  BufferPool pool(*device, MemoryKind::kDevice);
  BlockAggregator aggregator(tree, *math, pool, v1::ENCODING_BFLOAT16);
  // 1 + 2^-7 is a bfloat16, and four times that plus small change is not.
  const std::vector<float> values = {0x1.02p0f, -0x1.02p-20f, 0x1.02p0f};
  float expected = 0;
  for (int m = 0; m < 4; ++m) {
    const std::vector<float> gradient(5, values[static_cast<size_t>(m) % 3]);
    std::vector<uint8_t> payload(gradient.size() * kBfloat16Bytes);
    RoundToBfloat16(gradient, payload.data());
    const auto result = aggregator.Add(
        {m, m + 1}, FragmentedBytes(absl::MakeConstSpan(payload)), 0);
    REQUIRE_OK(result);
    if (m < 3) {
      REQUIRE(result->outcome == Outcome::kAdded);
      continue;
    }
    REQUIRE(result->outcome == Outcome::kCompletes);
    REQUIRE(result->total.elements() == 5);
    std::vector<float> total(5);
    REQUIRE(*math->Fold(result->total, total.data()));
    expected = (gradient[0] + values[2]) + (values[0] + values[1]);
    REQUIRE(total == std::vector<float>(5, expected));
  }
  REQUIRE(FromBfloat16(ToBfloat16(expected)) != expected);
}

}  // namespace
}  // namespace tessera
