// Who has which part of one phase's work.
//
//    0        4     6  7  8
//    |--------|-----|--|--|
//      leased  done  ^  leased
//      to 3    by 5  free
//
// The indices [0, size) are cut into units, each in one state. Free units that
// meet become one again, so what a dead worker leaves behind does not stay in
// crumbs.
//
// A leased unit may have a backup: another worker that does the same, where the
// holder is slow. Whoever is done first counts; when the holder goes, the unit
// is the backup's.

#ifndef TESSERA_SERVER_COORDINATOR_UNIT_LEDGER_H_
#define TESSERA_SERVER_COORDINATOR_UNIT_LEDGER_H_

#include <vector>

#include "absl/time/time.h"
#include "common/base/strong_id.h"

namespace tessera {

// Indices [begin, end) of one phase: microbatches, or evaluation chunks.
struct UnitRange {
  int begin = 0;
  int end = 0;

  int size() const { return end - begin; }
  friend bool operator==(const UnitRange&, const UnitRange&) = default;
};

enum class UnitState { kFree, kLeased, kDone };

struct Unit {
  UnitRange range;
  UnitState state = UnitState::kFree;
  WorkerId holder;   // Of a free unit: none. Of a done one: who did it.
  WorkerId backup;   // Of a leased unit, or none.
  absl::Time since;  // When it came into this state.

  bool IsLeasedTo(WorkerId worker) const {
    return state == UnitState::kLeased && holder == worker;
  }
};

// Not thread-safe. Ranges passed in must be within [0, size) and not empty.
class UnitLedger {
 public:
  // All of [0, size) is free; `size` is at least 1.
  UnitLedger(int size, absl::Time now);

  // In order, without gaps.
  const std::vector<Unit>& units() const { return units_; }
  int size() const { return units_.back().range.end; }

  // The range must be free.
  void Lease(const UnitRange& range, WorkerId worker, absl::Time now);
  // The unit must be leased to another, and have no backup.
  void BackUp(const UnitRange& unit, WorkerId worker);
  // Frees what `worker` holds of the range, but for what has a backup, and is
  // no backup in it any more; the rest stays as it is.
  void Release(const UnitRange& range, WorkerId worker, absl::Time now);
  void ReleaseAll(WorkerId worker, absl::Time now);
  // The range is done, whoever held it.
  void Finish(const UnitRange& range, WorkerId worker, absl::Time now);

  bool HasFree() const { return CountFree() > 0; }
  int CountFree() const;
  // What `worker` holds and has done.
  int CountTaken(WorkerId worker) const;
  bool Holds(WorkerId worker) const;
  // Whether anything was ever leased.
  bool ever_leased() const { return ever_leased_; }

 private:
  // Makes `at` the begin of a unit, unless it is the end of all.
  void CutAt(int at);
  void JoinFree();

  std::vector<Unit> units_;
  bool ever_leased_ = false;
};

}  // namespace tessera

#endif  // TESSERA_SERVER_COORDINATOR_UNIT_LEDGER_H_
