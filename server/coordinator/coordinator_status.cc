// What a coordinator tells people: who holds what, and who is being waited for.

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/coordinator/coordinator.h"

namespace tessera {
namespace {

// Work is overdue after this many times its expected time, and a little more
// that covers the network.
constexpr double kPatience = 2;
constexpr absl::Duration kGrace = absl::Seconds(1);

v1::Phase PhaseOf(const PhaseKey& key, bool ended) {
  if (ended) return v1::PHASE_ENDED;
  return key.is_train() ? v1::PHASE_TRAINING : v1::PHASE_EVALUATING;
}

}  // namespace

v1::GetStatusResponse Coordinator::Status(absl::Time now) const {
  v1::GetStatusResponse status;
  status.set_job_name(job_.proto().name());
  status.set_job_fingerprint(job_.fingerprint());
  status.set_phase(running() || ended()
                       ? PhaseOf(progress_.current().key, ended())
                       : v1::PHASE_RECOVERING);
  status.set_steps_done(steps_done());
  status.set_steps_total(progress_.last_version());
  status.set_steps_per_epoch(job_.steps_per_epoch());
  status.set_shard_count(options_.shard_count);
  status.set_end_reason(progress_.end_reason());
  AddWorkers(std::max(now, now_), status);
  AddWaiting(std::max(now, now_), status);
  if (options_.servers_attend) AddServers(std::max(now, now_), status);
  history_.WriteTo(status);
  return status;
}

void Coordinator::AddWorkers(absl::Time now,
                             v1::GetStatusResponse& status) const {
  for (const auto& [id, member] : members_.all()) {
    v1::WorkerStatus& worker = *status.add_workers();
    worker.set_worker_id(id.value());
    worker.set_label(member.label);
    worker.set_microbatches_per_second(member.speed);
    worker.set_microbatches_done(member.microbatches_done);
    worker.set_silent_ms(absl::ToInt64Milliseconds(now - member.last_heard));
    if (!ended()) worker.set_holds(Holdings(id));
  }
}

std::string Coordinator::Holdings(WorkerId worker) const {
  std::vector<std::string> holdings;
  const auto add = [&](const Phase& phase) {
    for (const Unit& unit : phase.units.units()) {
      if (!unit.IsLeasedTo(worker) && unit.backup != worker) continue;
      holdings.push_back(ToString(phase.key, unit.range));
    }
  };
  add(progress_.current());
  if (progress_.next() != nullptr) add(*progress_.next());
  return absl::StrJoin(holdings, ", ");
}

// How long a unit of the current phase may be held, or lie free, before it
// counts as being waited for.
absl::Duration Coordinator::Patience(const Unit& unit) const {
  const bool is_free = unit.state == UnitState::kFree;
  // Nobody will come for it.
  if (is_free && members_.empty()) return absl::ZeroDuration();
  // Others have their own units to finish before they take a free one.
  const double speed =
      is_free ? members_.TotalSpeed() : members_.SpeedOf(unit.holder);
  if (speed == 0) return options_.lease;
  const UnitRange work =
      is_free ? UnitRange{0, progress_.current().units.size()} : unit.range;
  return kPatience * ExpectedTime(work, speed) + kGrace;
}

void Coordinator::AddWaiting(absl::Time now,
                             v1::GetStatusResponse& status) const {
  if (!ended() && running()) AddOverdueWork(now, status);
  const absl::Duration patience = ReportAfter();
  for (const Awaited& wait : ServerWaits(now)) {
    if (now - wait.since < patience) continue;
    v1::Waiting& waiting = *status.add_waiting();
    waiting.set_work(wait.what);
    if (wait.since > absl::InfinitePast()) {
      waiting.set_waiting_ms(absl::ToInt64Milliseconds(now - wait.since));
    }
  }
}

void Coordinator::AddServers(absl::Time now,
                             v1::GetStatusResponse& status) const {
  status.set_generation(roll_.generation());
  roll_.WriteTo(now, status);
  v1::CheckpointStatus& checkpoint = *status.mutable_checkpoint();
  checkpoint.set_enabled(options_.makes_checkpoints);
  plan_.WriteTo(checkpoint);
  const RestorePoint* newest = roll_.newest();
  checkpoint.set_newest_version(newest != nullptr ? newest->version : -1);
  if (newest != nullptr && options_.describe_set != nullptr) {
    checkpoint.set_newest_folder(
        options_.describe_set(newest->version, newest->set_id));
  }
}

void Coordinator::AddOverdueWork(absl::Time now,
                                 v1::GetStatusResponse& status) const {
  const Phase& current = progress_.current();
  for (const Unit& unit : current.units.units()) {
    if (unit.state == UnitState::kDone) continue;
    // Nothing of a phase can be finished before it is the current one.
    const absl::Time since = std::max(unit.since, current.started);
    if (now - since < Patience(unit)) continue;
    v1::Waiting& waiting = *status.add_waiting();
    const auto member = members_.all().find(unit.holder);
    if (member != members_.all().end()) {
      waiting.set_worker_id(member->first.value());
      waiting.set_label(member->second.label);
    }
    waiting.set_work(ToString(current.key, unit.range));
    // Before the first call there is no time to count from.
    if (since > absl::InfinitePast()) {
      waiting.set_waiting_ms(absl::ToInt64Milliseconds(now - since));
    }
  }
}

}  // namespace tessera
