#include "server/shard/block_aggregator.h"

#include <algorithm>
#include <utility>

#include "common/base/check.h"
#include "common/base/status_macros.h"

namespace tessera {

bool BlockAggregator::IsCovered(const MicrobatchRange& range) const {
  auto after = held_.upper_bound(range.begin);
  if (after == held_.begin()) return false;
  return std::prev(after)->second.range.Contains(range);
}

void BlockAggregator::RemoveCovered(const MicrobatchRange& range) {
  // Nodes are nested or disjoint, so one that begins inside lies inside.
  held_.erase(held_.lower_bound(range.begin), held_.lower_bound(range.end));
}

BlockAggregator::Climb BlockAggregator::ClimbFrom(
    const MicrobatchRange& range) {
  Climb climb{.siblings = {}, .reached = range};
  while (const auto sibling = tree_.Sibling(climb.reached)) {
    // A sibling that is all there is held as one: its halves were added.
    const auto it = held_.find(sibling->begin);
    if (it == held_.end() || it->second.range != *sibling) break;
    climb.siblings.push_back(it);
    climb.reached = {std::min(climb.reached.begin, sibling->begin),
                     std::max(climb.reached.end, sibling->end)};
  }
  return climb;
}

absl::StatusOr<BlockAggregator::Result> BlockAggregator::Add(
    const MicrobatchRange& range, const FragmentedBytes& payload,
    double loss_sum) {
  TESSERA_CHECK(tree_.IsNode(range));
  if (IsCovered(range)) return Result{.outcome = Outcome::kDuplicate};
  Climb climb = ClimbFrom(range);
  Result result;
  result.total.payload = payload;
  result.total.encoding = encoding_;
  result.total_loss = loss_sum;
  const size_t bytes = result.total.elements() * sizeof(float);
  for (const Held::iterator sibling : climb.siblings) {
    const PartialSum& held = sibling->second;
    TESSERA_CHECK(held.values.bytes() == bytes);
    result.total.held.push_back(held.values.floats());
    result.total_loss += held.loss_sum;
  }
  if (climb.reached == tree_.root()) {
    result.outcome = Outcome::kCompletes;
    return result;
  }
  TESSERA_ASSIGN_OR_RETURN(BufferRef out, sums_.Get(bytes));
  TESSERA_ASSIGN_OR_RETURN(const bool is_finite,
                           math_.Fold(result.total, out.floats()));
  if (!is_finite) return Result{.outcome = Outcome::kNotFinite};
  RemoveCovered(climb.reached);
  held_[climb.reached.begin] =
      PartialSum{climb.reached, std::move(out), result.total_loss};
  return Result{.outcome = Outcome::kAdded};
}

std::vector<PartialSum> BlockAggregator::held() const {
  std::vector<PartialSum> sums;
  for (const auto& [begin, sum] : held_) sums.push_back(sum);
  return sums;
}

}  // namespace tessera
