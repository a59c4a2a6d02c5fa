#include "worker/train/tree_accumulator.h"

#include <catch2/catch.hpp>
#include <random>

#include "common/plan/reduction_tree.h"

namespace tessera {
namespace {

using Values = std::vector<float>;

// The definition: a node is the sum of its children.
template <typename T>
T SumAlongTree(const ReductionTree& tree, const MicrobatchRange& node,
               const std::vector<T>& leaves) {
  const auto children = tree.Children(node);
  if (!children) return leaves[node.begin];
  const T left = SumAlongTree(tree, children->first, leaves);
  const T right = SumAlongTree(tree, children->second, leaves);
  return left + right;
}

TreeAccumulator::Gradient MakeGradient(const Values& values) {
  auto gradient = std::make_shared<GradientVector>(values.size(), nullptr);
  std::copy(values.begin(), values.end(), gradient->data());
  return gradient;
}

// Leaf values that make every order of addition give other bits.
std::vector<float> Leaves(int count, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<float> leaves(count);
  for (float& leaf : leaves) {
    leaf = std::ldexp(static_cast<float>(random()) / 4e9f - 0.5f,
                      static_cast<int>(random() % 30));
  }
  return leaves;
}

TEST_CASE("sums of every node equal the tree's, to the bit") {
  const int microbatches = GENERATE(1, 2, 3, 5, 6, 7, 8, 11, 16, 23);
  const ReductionTree tree(microbatches);
  const uint32_t seed = 11 + microbatches;
  const std::vector<float> leaves = Leaves(microbatches, seed);
  const std::vector<double> losses(leaves.begin(), leaves.end());
  CAPTURE(microbatches, seed);
  for (int begin = 0; begin < microbatches; ++begin) {
    for (int end = begin + 1; end <= microbatches; ++end) {
      if (!tree.IsNode({begin, end})) continue;
      TreeAccumulator sum;
      for (int m = begin; m + 1 < end; ++m) {
        sum.Add(MakeGradient({leaves[m], -leaves[m]}), losses[m]);
      }
      Values last = {leaves[end - 1], -leaves[end - 1]};
      sum.FoldLast({1, 2}, absl::MakeSpan(last));
      sum.FoldLast({0, 1}, absl::MakeSpan(last));
      const float expected = SumAlongTree(tree, {begin, end}, leaves);
      REQUIRE(last == Values{expected, -expected});
      REQUIRE(sum.FoldLastLoss(losses[end - 1]) ==
              SumAlongTree(tree, {begin, end}, losses));
    }
  }
}

TEST_CASE("an empty interval folds nothing") {
  TreeAccumulator sum;
  sum.Add(MakeGradient({1, 2}), 0);
  Values last = {10, 20};
  sum.FoldLast({1, 1}, absl::MakeSpan(last));
  REQUIRE(last == Values{10, 20});
}

}  // namespace
}  // namespace tessera
