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

bool BlockAggregator::CoversHeld(const MicrobatchRange& range) const {
  // Nodes are nested or disjoint, so one that begins inside lies inside.
  const auto first = held_.lower_bound(range.begin);
  return first != held_.end() && first->first < range.end;
}

BufferRef BlockAggregator::RemoveCovered(const MicrobatchRange& range) {
  BufferRef freed;
  auto it = held_.lower_bound(range.begin);
  while (it != held_.end() && it->first < range.end) {
    freed = std::move(it->second.values);
    it = held_.erase(it);
  }
  return freed;
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
  result.total_loss = loss_sum;
  for (const Held::iterator sibling : climb.siblings) {
    const PartialSum& held = sibling->second;
    TESSERA_CHECK(held.values.bytes() == payload.size());
    result.total.held.push_back(held.values.floats());
    result.total_loss += held.loss_sum;
  }
  if (climb.reached == tree_.root()) {
    result.outcome = Outcome::kCompletes;
    return result;
  }
  // Memory first: after it nothing can fail but the device.
  BufferRef out;
  if (!climb.siblings.empty()) {
    out = climb.siblings.front()->second.values;
  } else if (!CoversHeld(range)) {
    TESSERA_ASSIGN_OR_RETURN(out, sums_.Get(payload.size()));
  }
  BufferRef freed = RemoveCovered(range);
  if (!out) out = std::move(freed);
  TESSERA_RETURN_IF_ERROR(math_.Fold(result.total, out.floats()));
  for (const Held::iterator sibling : climb.siblings) held_.erase(sibling);
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
