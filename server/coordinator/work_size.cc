#include "server/coordinator/work_size.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <tuple>

#include "common/base/check.h"

namespace tessera {
namespace {

// Largest excess of a tree node over the allowance.
constexpr double kNodeTolerance = 1.0 / 8;

// Whole units in `allowance`, which rounding may have left a hair short.
int WholeUnits(double allowance) {
  return std::max(1, static_cast<int>(std::floor(allowance + 1e-6)));
}

}  // namespace

double Allowance(const UnitLedger& ledger, WorkerId worker, double share) {
  return std::max({1.0, share * ledger.size() - ledger.CountTaken(worker),
                   share * ledger.CountFree()});
}

UnitRange PickTrainUnit(const ReductionTree& tree, const UnitLedger& ledger,
                        double allowance) {
  const int max_size =
      std::max(WholeUnits(allowance),
               std::min(WholeUnits(allowance * (1 + kNodeTolerance)),
                        tree.microbatches() - 1));
  // Ordered from best to worst: minus the size, the size of the largest node
  // that it is cut from, the position.
  std::optional<std::tuple<int, int, MicrobatchRange>> best;
  for (const Unit& unit : ledger.units()) {
    if (unit.state != UnitState::kFree) continue;
    int begin = unit.range.begin;
    while (begin < unit.range.end) {
      const MicrobatchRange whole =
          tree.LargestNodeAt(begin, unit.range.end, tree.microbatches());
      const MicrobatchRange node =
          tree.LargestNodeAt(begin, unit.range.end, max_size);
      const auto candidate = std::tuple(-node.size(), whole.size(), node);
      if (!best.has_value() || candidate < *best) best = candidate;
      begin = whole.end;
    }
  }
  TESSERA_CHECK(best.has_value());
  const MicrobatchRange& node = std::get<MicrobatchRange>(*best);
  return {node.begin, node.end};
}

UnitRange PickEvaluationUnit(const UnitLedger& ledger, double allowance) {
  const auto& units = ledger.units();
  const auto free = std::find_if(
      units.begin(), units.end(),
      [](const Unit& unit) { return unit.state == UnitState::kFree; });
  TESSERA_CHECK(free != units.end());
  const int size = std::min(free->range.size(), WholeUnits(allowance));
  return {free->range.begin, free->range.begin + size};
}

}  // namespace tessera
