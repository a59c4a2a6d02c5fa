#include "server/shard/block_aggregator.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <random>

#include "common/device/make_device.h"
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
  BlockAggregator aggregator{tree, *math, pool};
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

TEST_CASE("a range that covers held ones takes their place and a buffer") {
  Harness h(8);
  REQUIRE_OK(h.Add({0, 1}, {1}));
  REQUIRE_OK(h.Add({2, 3}, {4}));
  REQUIRE_OK(h.Add({6, 7}, {64}));
  REQUIRE(h.Add({0, 4}, {15})->outcome == Outcome::kAdded);
  const auto held = h.aggregator.held();
  REQUIRE(held.size() == 2);
  REQUIRE(held[0].range == MicrobatchRange{0, 4});
  REQUIRE(held[0].values.floats()[0] == 15);
  REQUIRE(h.pool.usage().total_bytes == 3 * sizeof(float));
}

TEST_CASE("pushes in order need no more sums than the tree is high") {
  Harness h(16);
  for (int m = 0; m < 15; ++m) {
    REQUIRE_OK(h.Add({m, m + 1}, std::vector<float>(16)));
  }
  REQUIRE(h.aggregator.held().size() == 4);
  REQUIRE(h.pool.usage().total_bytes == 4 * 64);
}

}  // namespace
}  // namespace tessera
