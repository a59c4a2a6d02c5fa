// Which work a worker repeats that another is slow with.
//
// Without it a step takes as long as its slowest worker. The worker that asks
// has nothing else to do: what it would be granted of the next phase cannot be
// finished before the current one is over. The gradient is the same whoever
// computes it, and counts once.

#include <algorithm>
#include <optional>

#include "server/coordinator/coordinator.h"

namespace tessera {
namespace {

// A unit is repeated when its holder takes this many times as long as the other
// would, and longer by what a grant, a pull and measurements' noise may cost.
constexpr double kMuchSlower = 2;
// Where the holder's own speed says that it will be.
constexpr absl::Duration kForeseenMargin = absl::Milliseconds(10);
// Where it has been already, which may be the network's doing.
constexpr absl::Duration kObservedMargin = absl::Seconds(1);

}  // namespace

absl::Duration Coordinator::ExpectedTime(const UnitRange& range,
                                         double speed) const {
  double microbatches = range.size();
  if (!progress_.current().key.is_train()) {
    // A chunk's samples are scored in less time than as many are trained on.
    microbatches *=
        static_cast<double>(job_.chunk_examples()) / job_.microbatch_size();
  }
  return absl::Seconds(microbatches / speed);
}

bool Coordinator::IsSlow(const Unit& unit, const Member& holder,
                         const Member& member) const {
  const double speed = members_.SpeedOf(member.id);
  if (speed == 0) return false;
  const absl::Duration other = kMuchSlower * ExpectedTime(unit.range, speed);
  const absl::Duration held =
      now_ - std::max(unit.since, progress_.current().started);
  if (holder.speed > 0) {
    const absl::Duration rest = ExpectedTime(unit.range, holder.speed) - held;
    if (rest > absl::ZeroDuration()) return rest > other + kForeseenMargin;
  }
  return held > other + kObservedMargin;
}

bool Coordinator::IsAt(const Member& holder, const Unit& unit) const {
  // Who has come back for other work has computed it.
  const std::optional<GrantedUnit>& last = holder.last_grant;
  return last.has_value() && last->phase == progress_.current().key &&
         last->range.begin <= unit.range.begin &&
         unit.range.end <= last->range.end;
}

std::optional<UnitRange> Coordinator::BackupFor(const Member& member) const {
  const Phase& current = progress_.current();
  for (const Unit& unit : current.units.units()) {
    if (unit.state != UnitState::kLeased || unit.holder == member.id ||
        !unit.backup.is_none()) {
      continue;
    }
    const auto holder = members_.all().find(unit.holder);
    if (holder != members_.all().end() && IsAt(holder->second, unit) &&
        IsSlow(unit, holder->second, member)) {
      return unit.range;
    }
  }
  return std::nullopt;
}

}  // namespace tessera
