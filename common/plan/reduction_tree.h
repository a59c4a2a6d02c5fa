// The fixed binary tree along which a step's M microbatch gradients are summed.
//
// Floating-point addition is not associative, so a sum is a function of its
// tree. With the tree fixed by M alone, every arrival order and every way to
// share the work gives the same bits. Level k of the tree has the nodes
// [i 2^k, min((i + 1) 2^k, M)); for M = 6:
//
//                [0,6)
//           /            \.
//        [0,4)           [4,6)        A node whose right half would start at M
//       /     \            |          or beyond has one child, the same range.
//    [0,2)   [2,4)       [4,6)
//    /   \   /   \       /   \.
//   0     1 2     3     4     5

#ifndef TESSERA_COMMON_PLAN_REDUCTION_TREE_H_
#define TESSERA_COMMON_PLAN_REDUCTION_TREE_H_

#include <compare>
#include <optional>
#include <string>
#include <utility>

namespace tessera {

// Microbatches [begin, end) of one step.
struct MicrobatchRange {
  int begin = 0;
  int end = 0;

  int size() const { return end - begin; }
  bool Contains(const MicrobatchRange& other) const {
    return begin <= other.begin && other.end <= end;
  }
  friend auto operator<=>(const MicrobatchRange&,
                          const MicrobatchRange&) = default;
};

// "[4, 8)".
std::string ToString(const MicrobatchRange& range);

// Pure arithmetic on the tree's shape. Immutable, so thread-safe.
class ReductionTree {
 public:
  // `microbatches` is M, at least 1.
  explicit ReductionTree(int microbatches);

  int microbatches() const { return microbatches_; }
  MicrobatchRange root() const { return {0, microbatches_}; }

  // Whether the range is a node. Nodes are nested or disjoint.
  bool IsNode(const MicrobatchRange& range) const;

  // The rest of the parent of `node`, with which it is summed next; left
  // operand first, by position. Nothing for the root. `node` must be a node.
  std::optional<MicrobatchRange> Sibling(const MicrobatchRange& node) const;

  // The two nodes that `node` is the sum of; nothing for a single microbatch.
  std::optional<std::pair<MicrobatchRange, MicrobatchRange>> Children(
      const MicrobatchRange& node) const;

  // The largest node that begins at `begin`, has at most `max_size` (at least
  // 1) microbatches and ends at or before `end`.
  MicrobatchRange LargestNodeAt(int begin, int end, int max_size) const;

 private:
  int microbatches_;
};

}  // namespace tessera

#endif  // TESSERA_COMMON_PLAN_REDUCTION_TREE_H_
