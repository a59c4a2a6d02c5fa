#include "common/plan/reduction_tree.h"

#include <catch2/catch.hpp>
#include <set>

#include "tests/support/status.h"

namespace tessera {
namespace {

TEST_CASE("the nodes of a tree of 6 are those of the picture") {
  const ReductionTree tree(6);
  std::set<MicrobatchRange> nodes;
  for (int begin = -1; begin <= 7; ++begin) {
    for (int end = -1; end <= 8; ++end) {
      if (tree.IsNode({begin, end})) nodes.insert({begin, end});
    }
  }
  const std::set<MicrobatchRange> expected = {{0, 1}, {1, 2}, {2, 3}, {3, 4},
                                              {4, 5}, {5, 6}, {0, 2}, {2, 4},
                                              {4, 6}, {0, 4}, {0, 6}};
  REQUIRE(nodes == expected);
}

TEST_CASE("siblings and children agree for every size") {
  const int microbatches = GENERATE(range(1, 70));
  const ReductionTree tree(microbatches);
  CAPTURE(microbatches);
  int leaves_seen = 0;
  for (int begin = 0; begin < microbatches; ++begin) {
    for (int end = begin + 1; end <= microbatches; ++end) {
      const MicrobatchRange node{begin, end};
      if (!tree.IsNode(node)) continue;
      const auto children = tree.Children(node);
      if (!children) {
        REQUIRE(node.size() == 1);
        ++leaves_seen;
        continue;
      }
      const auto& [left, right] = *children;
      CAPTURE(ToString(node));
      REQUIRE(left.begin == node.begin);
      REQUIRE(left.end == right.begin);
      REQUIRE(right.end == node.end);
      REQUIRE(tree.IsNode(left));
      REQUIRE(tree.IsNode(right));
      REQUIRE(tree.Sibling(left) == right);
      REQUIRE(tree.Sibling(right) == left);
    }
  }
  REQUIRE(leaves_seen == microbatches);
  REQUIRE_FALSE(tree.Sibling(tree.root()).has_value());
}

TEST_CASE("the largest node at a place respects end and size") {
  const ReductionTree tree(11);
  REQUIRE(tree.LargestNodeAt(0, 11, 100) == MicrobatchRange{0, 11});
  REQUIRE(tree.LargestNodeAt(0, 11, 10) == MicrobatchRange{0, 8});
  REQUIRE(tree.LargestNodeAt(0, 7, 100) == MicrobatchRange{0, 4});
  REQUIRE(tree.LargestNodeAt(8, 11, 3) == MicrobatchRange{8, 11});
  REQUIRE(tree.LargestNodeAt(8, 11, 2) == MicrobatchRange{8, 10});
  REQUIRE(tree.LargestNodeAt(3, 11, 8) == MicrobatchRange{3, 4});
  REQUIRE(tree.LargestNodeAt(10, 11, 8) == MicrobatchRange{10, 11});
}

}  // namespace
}  // namespace tessera
