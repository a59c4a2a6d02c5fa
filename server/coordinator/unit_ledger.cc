#include "server/coordinator/unit_ledger.h"

#include <algorithm>
#include <utility>

#include "common/base/check.h"

namespace tessera {
namespace {

bool Within(const Unit& unit, const UnitRange& range) {
  return range.begin <= unit.range.begin && unit.range.end <= range.end;
}

}  // namespace

UnitLedger::UnitLedger(int size, absl::Time now)
    : units_{{.range = {0, size}, .since = now}} {
  TESSERA_CHECK(size >= 1);
}

void UnitLedger::CutAt(int at) {
  if (at == size()) return;
  const auto unit = std::find_if(
      units_.begin(), units_.end(),
      [at](const Unit& u) { return u.range.begin <= at && at < u.range.end; });
  TESSERA_CHECK(unit != units_.end());
  if (unit->range.begin == at) return;
  Unit left = *unit;
  left.range.end = at;
  unit->range.begin = at;
  units_.insert(unit, left);
}

void UnitLedger::JoinFree() {
  std::vector<Unit> joined;
  for (const Unit& unit : units_) {
    if (!joined.empty() && unit.state == UnitState::kFree &&
        joined.back().state == UnitState::kFree) {
      joined.back().range.end = unit.range.end;
      joined.back().since = std::min(joined.back().since, unit.since);
    } else {
      joined.push_back(unit);
    }
  }
  units_ = std::move(joined);
}

void UnitLedger::Lease(const UnitRange& range, WorkerId worker,
                       absl::Time now) {
  CutAt(range.begin);
  CutAt(range.end);
  for (Unit& unit : units_) {
    if (!Within(unit, range)) continue;
    // Free units are joined, so a free range is one unit.
    TESSERA_CHECK(unit.state == UnitState::kFree && unit.range == range);
    unit.state = UnitState::kLeased;
    unit.holder = worker;
    unit.since = now;
  }
  ever_leased_ = true;
}

void UnitLedger::BackUp(const UnitRange& range, WorkerId worker) {
  const auto unit =
      std::find_if(units_.begin(), units_.end(),
                   [&range](const Unit& u) { return u.range == range; });
  TESSERA_CHECK(unit != units_.end() && unit->state == UnitState::kLeased &&
                unit->holder != worker && unit->backup.is_none());
  unit->backup = worker;
}

void UnitLedger::Release(const UnitRange& range, WorkerId worker,
                         absl::Time now) {
  CutAt(range.begin);
  CutAt(range.end);
  for (Unit& unit : units_) {
    if (!Within(unit, range)) continue;
    if (unit.backup == worker) unit.backup = WorkerId();
    if (!unit.IsLeasedTo(worker)) continue;
    if (!unit.backup.is_none()) {
      unit.holder = std::exchange(unit.backup, WorkerId());
      continue;
    }
    unit.state = UnitState::kFree;
    unit.holder = WorkerId();
    unit.since = now;
  }
  JoinFree();
}

void UnitLedger::ReleaseAll(WorkerId worker, absl::Time now) {
  Release({0, size()}, worker, now);
}

void UnitLedger::Finish(const UnitRange& range, WorkerId worker,
                        absl::Time now) {
  CutAt(range.begin);
  CutAt(range.end);
  for (Unit& unit : units_) {
    if (!Within(unit, range) || unit.state == UnitState::kDone) continue;
    unit.state = UnitState::kDone;
    unit.holder = worker;
    unit.backup = WorkerId();
    unit.since = now;
  }
}

int UnitLedger::CountFree() const {
  int count = 0;
  for (const Unit& unit : units_) {
    if (unit.state == UnitState::kFree) count += unit.range.size();
  }
  return count;
}

int UnitLedger::CountTaken(WorkerId worker) const {
  int count = 0;
  for (const Unit& unit : units_) {
    if (unit.state != UnitState::kFree && unit.holder == worker) {
      count += unit.range.size();
    }
  }
  return count;
}

bool UnitLedger::Holds(WorkerId worker) const {
  return std::any_of(units_.begin(), units_.end(), [worker](const Unit& unit) {
    return unit.IsLeasedTo(worker);
  });
}

}  // namespace tessera
