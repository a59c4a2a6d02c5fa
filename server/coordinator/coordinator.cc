#include "server/coordinator/coordinator.h"

#include <algorithm>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/status_macros.h"
#include "server/coordinator/work_size.h"

namespace tessera {
namespace {

Grant ToGrant(const GrantedUnit& unit) {
  if (unit.phase.is_train()) {
    return TrainGrant{.step = unit.phase.version,
                      .range = {unit.range.begin, unit.range.end}};
  }
  return EvaluateGrant{.version = unit.phase.version,
                       .chunk_begin = unit.range.begin,
                       .chunk_end = unit.range.end};
}

// The versions that the job has.
std::vector<RestorePoint> PointsOf(const Job& job,
                                   std::vector<RestorePoint> points) {
  std::erase_if(points, [&job](const RestorePoint& point) {
    return point.version < 0 || point.version > job.max_steps();
  });
  return points;
}

}  // namespace

std::unique_ptr<Coordinator> Coordinator::Create(
    const Job& job, const CoordinatorOptions& options) {
  TESSERA_CHECK(!options.servers_attend || options.draw_set_id != nullptr);
  return absl::WrapUnique(new Coordinator(job, options));
}

Coordinator::Coordinator(const Job& job, const CoordinatorOptions& options)
    : job_(job),
      options_(options),
      members_(options.first_worker_id, options.lease),
      progress_(job, now_),
      roll_(options.shard_count, PointsOf(job, options.restore_points),
            options.generation_floor),
      plan_(job.checkpoint_policy(), options.shard_count, options.draw_set_id),
      orders_(options.servers_attend ? options.draw_set_id() : 0) {}

void Coordinator::TakeTime(absl::Time now) {
  // The first call starts the clock.
  if (now_ == absl::InfinitePast()) {
    progress_.current().started = now;
    last_advance_ = now;
    roll_.Begin(now);
  }
  now_ = std::max(now_, now);
}

void Coordinator::Observe(absl::Time now) {
  TakeTime(now);
  for (WorkerId worker : members_.Expire(now_)) {
    progress_.ReleaseAll(worker, now_);
  }
  const int64_t old_generation = roll_.generation();
  const bool was_running = roll_.running();
  roll_.Tick(now_);
  FollowRoll(old_generation, was_running);
  Settle();
}

void Coordinator::Settle() {
  EndIfStoppedAndDeserted();
  EndIfWaitedTooLong();
  ConsiderCheckpoint();
}

void Coordinator::EndIfStoppedAndDeserted() {
  if (!ended() && stop_requested_ && members_.empty()) {
    progress_.EndNow(v1::END_REASON_STOPPED);
  }
}

absl::StatusOr<Member*> Coordinator::FindMember(WorkerId worker) {
  Member* member = members_.Find(worker);
  if (member != nullptr) return member;
  return absl::NotFoundError(absl::StrCat(
      "worker ", worker.value(),
      " is no member: its lease ran out, or it never joined; join again"));
}

absl::Status Coordinator::Hear(WorkerId worker) {
  TESSERA_ASSIGN_OR_RETURN(Member * member, FindMember(worker));
  member->last_heard = now_;
  return absl::OkStatus();
}

void Coordinator::Prove(int64_t version) {
  if (version > progress_.NewestPossibleVersion()) return;
  while (progress_.current().key.is_train() &&
         version > progress_.current().key.version) {
    for (const Unit& unit : progress_.current().units.units()) {
      Member* member = members_.Find(unit.holder);
      if (member != nullptr) member->microbatches_done += unit.range.size();
    }
    progress_.FinishTraining(now_);
    last_advance_ = now_;
    plan_.OnVersion(steps_done(), progress_.memory_at_version(), now_);
  }
}

absl::StatusOr<WorkerId> Coordinator::Join(const std::string& label,
                                           absl::Time now) {
  Observe(now);
  if (ended()) {
    return absl::UnavailableError(absl::StrCat(
        "the job has ended: ", v1::EndReason_Name(progress_.end_reason())));
  }
  return members_.Join(label, now_).id;
}

absl::StatusOr<Grant> Coordinator::GetWork(WorkerId worker,
                                           const WorkReport& report,
                                           absl::Time now) {
  Observe(now);
  if (ended()) return EndGrant{progress_.end_reason()};
  TESSERA_ASSIGN_OR_RETURN(Member * member, FindMember(worker));

  const uint64_t number = report.request_number;
  // Its sender has given up on it: a grant would be lost.
  if (number != 0 && number < member->last_request) return NoGrant{};
  if (number == 0 || number > member->last_request) {
    member->last_heard = now_;
    TakeReport(*member, report);
  } else if (member->last_grant.has_value()) {
    // Even if that is over by now: the first answer may have arrived, and then
    // other work would be lost.
    return ToGrant(*member->last_grant);
  }
  return running() ? NextGrant(*member) : NoGrant{};
}

void Coordinator::TakeReport(Member& member, const WorkReport& report) {
  member.last_request = report.request_number;
  member.Measure(report.microbatch_seconds);
  if (IsCurrent(report.generation)) Prove(report.have_version);
  if (report.gives_up_last && member.last_grant.has_value()) {
    Phase* phase = progress_.Find(member.last_grant->phase);
    if (phase != nullptr) {
      phase->units.Release(member.last_grant->range, member.id, now_);
    }
  }
  member.last_grant.reset();
  progress_.ReleaseUnstarted(member.id, now_);
}

bool Coordinator::HasWork(const Phase& phase) const {
  return phase.units.HasFree() &&
         !(phase.key.is_train() && plan_.HoldsBack(phase.key.version));
}

Grant Coordinator::NextGrant(Member& member) {
  // Before a grant makes another version possible.
  ConsiderCheckpoint();
  Phase& current = progress_.current();
  if (current.units.HasFree()) {
    return HasWork(current) ? GrantFrom(current, member) : NoGrant{};
  }
  if (const auto range = BackupFor(member); range.has_value()) {
    current.units.BackUp(*range, member.id);
    member.last_grant = GrantedUnit{current.key, *range};
    return ToGrant(*member.last_grant);
  }
  Phase* next = progress_.MakeNext(now_);
  if (next != nullptr && HasWork(*next)) return GrantFrom(*next, member);
  return NoGrant{};
}

Grant Coordinator::GrantFrom(Phase& phase, Member& member) {
  const double allowance =
      Allowance(phase.units, member.id, members_.ShareOf(member.id));
  const UnitRange range =
      phase.key.is_train() ? PickTrainUnit(job_.tree(), phase.units, allowance)
                           : PickEvaluationUnit(phase.units, allowance);
  phase.units.Lease(range, member.id, now_);
  member.last_grant = GrantedUnit{phase.key, range};
  return ToGrant(*member.last_grant);
}

absl::StatusOr<bool> Coordinator::Renew(WorkerId worker, int64_t generation,
                                        absl::Time now) {
  Observe(now);
  if (ended()) return true;
  TESSERA_RETURN_IF_ERROR(Hear(worker));
  if (generation != 0 && !IsCurrent(generation)) return true;
  const Phase* next = progress_.next();
  if (next == nullptr || !next->units.Holds(worker)) return false;
  return progress_.current().units.HasFree() ||
         BackupFor(*members_.Find(worker)).has_value();
}

void Coordinator::Leave(WorkerId worker, absl::Time now) {
  Observe(now);
  members_.Remove(worker);
  progress_.ReleaseAll(worker, now_);
  Settle();
}

void Coordinator::OnStepApplied(int64_t generation, int64_t step,
                                double mean_loss, absl::Time now) {
  Observe(now);
  if (options_.servers_attend && generation != roll_.generation()) return;
  history_.AddStep(step, mean_loss);
}

void Coordinator::RequestStop(absl::Time now) {
  Observe(now);
  stop_requested_ = true;
  // Before it is known where the job starts, its last version is not either.
  if (!options_.servers_attend || roll_.generation() > 0) {
    progress_.StopSoon(now_);
  }
  Settle();
}

void Coordinator::Tick(absl::Time now) { Observe(now); }

}  // namespace tessera
