#include "common/plan/reduction_tree.h"

#include <algorithm>
#include <bit>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"

namespace tessera {
namespace {

// The smallest power of two that is at least `n`.
int Span(int n) {
  return static_cast<int>(std::bit_ceil(static_cast<unsigned>(n)));
}

}  // namespace

std::string ToString(const MicrobatchRange& range) {
  return absl::StrCat("[", range.begin, ", ", range.end, ")");
}

ReductionTree::ReductionTree(int microbatches) : microbatches_(microbatches) {
  TESSERA_CHECK(microbatches >= 1);
}

bool ReductionTree::IsNode(const MicrobatchRange& range) const {
  if (range.begin < 0 || range.begin >= range.end ||
      range.end > microbatches_) {
    return false;
  }
  const int span = Span(range.size());
  if (range.begin % span != 0) return false;
  // A node is cut short only by the end of all microbatches.
  return range.size() == span || range.end == microbatches_;
}

std::optional<MicrobatchRange> ReductionTree::Sibling(
    const MicrobatchRange& node) const {
  TESSERA_CHECK(IsNode(node));
  // A range cut short is the same node at several levels: its sibling is at the
  // first level where there is one.
  for (int span = Span(node.size()); node != root(); span *= 2) {
    const bool is_right = (node.begin / span) % 2 == 1;
    if (is_right) return MicrobatchRange{node.begin - span, node.begin};
    if (node.begin + span < microbatches_) {
      return MicrobatchRange{node.begin + span,
                             std::min(node.begin + 2 * span, microbatches_)};
    }
  }
  return std::nullopt;
}

std::optional<std::pair<MicrobatchRange, MicrobatchRange>>
ReductionTree::Children(const MicrobatchRange& node) const {
  TESSERA_CHECK(IsNode(node));
  if (node.size() == 1) return std::nullopt;
  const int middle = node.begin + Span(node.size()) / 2;
  return std::pair(MicrobatchRange{node.begin, middle},
                   MicrobatchRange{middle, node.end});
}

MicrobatchRange ReductionTree::LargestNodeAt(int begin, int end,
                                             int max_size) const {
  TESSERA_CHECK(begin >= 0 && begin < end && end <= microbatches_);
  TESSERA_CHECK(max_size >= 1);
  MicrobatchRange best{begin, begin + 1};
  for (int span = 2; begin % span == 0; span *= 2) {
    const MicrobatchRange node{begin, std::min(begin + span, microbatches_)};
    if (node.end > end || node.size() > max_size) break;
    best = node;
    if (node.end == microbatches_) break;
  }
  return best;
}

}  // namespace tessera
