// Which checkpoints must be there: those that were acknowledged, as long as
// retention may not have taken them.

#ifndef TESSERA_TESTS_SIMULATION_RECOVERY_KEPT_SETS_H_
#define TESSERA_TESTS_SIMULATION_RECOVERY_KEPT_SETS_H_

#include <cstdint>
#include <set>
#include <vector>

#include "server/checkpoint/format.h"

namespace tessera {

// Not thread-safe.
class KeptSets {
 public:
  // Retention keeps so many, the newest acknowledged one among them.
  explicit KeptSets(int keep) : keep_(keep) {}

  // A manifest is about to be written: the set may be complete from now on, and
  // then takes a place among those that are kept.
  void Try(const SetName& set) { tried_.push_back(set); }
  // It was said to be complete.
  void Acknowledge(const SetName& set);
  // It is no longer whole, through no fault of whoever wrote it.
  void Damage(const SetName& set);

  // All that must be whole now, in the order of acknowledgement.
  const std::vector<SetName>& sets() const { return sets_; }
  // Whether some manifest of that set id may ever have been complete.
  bool MayBe(uint64_t set_id) const;

 private:
  const int keep_;
  std::vector<SetName> tried_;
  std::vector<SetName> sets_;
};

}  // namespace tessera

#endif  // TESSERA_TESTS_SIMULATION_RECOVERY_KEPT_SETS_H_
