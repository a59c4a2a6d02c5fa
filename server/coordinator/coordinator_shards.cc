// What a coordinator has to do with the job's servers: who is there, where they
// start from, and the checkpoints that they make.

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "server/coordinator/coordinator.h"

namespace tessera {

int64_t Coordinator::generation() const {
  return roll_.running() ? roll_.generation() : 0;
}

bool Coordinator::IsCurrent(int64_t generation) const {
  if (!options_.servers_attend) return true;
  return running() && (generation == 0 || generation == roll_.generation());
}

absl::Status Coordinator::CheckAttendance(
    const v1::AttendRequest& request) const {
  if (!options_.servers_attend) {
    return absl::FailedPreconditionError(
        "this coordinator's servers do not attend");
  }
  if (request.job_fingerprint() != job_.fingerprint()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "shard ", request.shard(), " serves another job (fingerprint ",
        absl::Hex(request.job_fingerprint(), absl::kZeroPad16), ") than \"",
        job_.proto().name(), "\" (",
        absl::Hex(job_.fingerprint(), absl::kZeroPad16), ")"));
  }
  if (request.shard_count() != options_.shard_count || request.shard() < 0 ||
      request.shard() >= options_.shard_count) {
    return absl::FailedPreconditionError(
        absl::StrCat("shard ", request.shard(), " of ", request.shard_count(),
                     ": this job has shards 0 to ", options_.shard_count - 1));
  }
  return absl::OkStatus();
}

bool Coordinator::Follows(const v1::AttendRequest& request) const {
  // Orders count up, perhaps through 0.
  return request.orders_seen() - generation_orders_ <=
         orders_ - generation_orders_;
}

absl::StatusOr<v1::AttendResponse> Coordinator::Attend(
    const v1::AttendRequest& request, absl::Time now) {
  TESSERA_RETURN_IF_ERROR(CheckAttendance(request));
  // Heard first: it shall not be found silent by the call that ends it.
  TakeTime(now);
  const int64_t old_generation = roll_.generation();
  const bool was_running = roll_.running();
  TESSERA_RETURN_IF_ERROR(roll_.Hear(request, Follows(request), now_));
  FollowRoll(old_generation, was_running);
  plan_.Hear(request, now_);
  Observe(now);
  return OrdersNow();
}

void Coordinator::FollowRoll(int64_t old_generation, bool was_running) {
  if (roll_.generation() != old_generation) GoBack();
  if (roll_.running() && !was_running) {
    // The time for work counts from now.
    progress_.current().started = now_;
    last_advance_ = now_;
    plan_.Begin(now_);
  }
}

void Coordinator::GoBack() {
  const RestorePoint& start = roll_.start();
  plan_.GiveUp(absl::StrCat("the servers went back to version ", start.version),
               now_);
  members_.ForgetGrants();
  const v1::EndReason end_reason = progress_.end_reason();
  // The version that the job ended at is all that is needed of it.
  if (ended() && start.version == steps_done()) return;
  progress_.Restart(start.version, StopMemoryOf(start.state), now_);
  history_.Restart(start.state);
  if (stop_requested_) progress_.StopSoon(now_);
  // Everyone was told to go.
  if (end_reason == v1::END_REASON_WAITED_TOO_LONG) {
    progress_.EndNow(end_reason);
  }
}

v1::AttendResponse Coordinator::OrdersNow() const {
  v1::AttendResponse response;
  response.set_orders(orders_);
  response.set_generation(roll_.generation());
  if (roll_.generation() == 0) return response;
  response.mutable_restore()->set_version(roll_.start().version);
  response.mutable_restore()->set_set_id(roll_.start().set_id);
  const v1::Capture capture = plan_.capture();
  if (capture.set_id() != 0) *response.mutable_capture() = capture;
  return response;
}

CheckpointPlan::Stand Coordinator::Stand() const {
  // A job that ended because a server is away cannot have that one's part.
  const bool servers_there =
      roll_.running() &&
      (progress_.end_reason() != v1::END_REASON_WAITED_TOO_LONG ||
       roll_.Waits(now_, ReportAfter()).empty());
  return {.version = steps_done(),
          .newest_possible = progress_.NewestPossibleVersion(),
          .last_version = progress_.last_version(),
          .ended = ended(),
          .servers_there = servers_there,
          .restore_version =
              roll_.newest() != nullptr ? roll_.newest()->version : -1,
          .memory = progress_.memory_at_version()};
}

void Coordinator::ConsiderCheckpoint() {
  if (!options_.servers_attend) return;
  if (options_.makes_checkpoints) plan_.Consider(Stand(), now_);

  const uint64_t capture = plan_.capture().set_id();
  if (roll_.generation() == ordered_generation_ &&
      capture == ordered_capture_) {
    return;
  }
  ++orders_;
  if (roll_.generation() != ordered_generation_) generation_orders_ = orders_;
  ordered_generation_ = roll_.generation();
  ordered_capture_ = capture;
}

absl::StatusOr<uint64_t> Coordinator::RequestCheckpoint(absl::Time now) {
  Observe(now);
  if (!options_.servers_attend || !options_.makes_checkpoints) {
    return absl::FailedPreconditionError(
        "no checkpoints are made: the servers were given no folder for them");
  }
  if (!roll_.running()) {
    return absl::UnavailableError(
        "the servers are not all there yet, or still load their shards");
  }
  const RestorePoint* newest = roll_.newest();
  if (ended() && newest != nullptr && newest->version == steps_done()) {
    return newest->set_id;
  }
  const uint64_t set_id = plan_.Request(Stand());
  Settle();
  return set_id;
}

std::optional<CheckpointOutcome> Coordinator::OutcomeOf(uint64_t set_id) const {
  std::optional<CheckpointOutcome> outcome = plan_.OutcomeOf(set_id);
  if (outcome.has_value() && absl::IsNotFound(outcome->status)) {
    const RestorePoint* point = roll_.Find(set_id);
    if (point != nullptr) {
      return CheckpointOutcome{.version = point->version, .set_id = set_id};
    }
  }
  return outcome;
}

std::optional<v1::CheckpointManifest> Coordinator::TakeManifest() {
  std::optional<CheckpointPlan::Files> files = plan_.TakeFiles();
  if (!files.has_value()) return std::nullopt;
  v1::CoordinatorState state;
  SetStopMemory(files->memory, state);
  history_.WriteTo(files->version, state);

  v1::CheckpointManifest manifest;
  manifest.set_job_fingerprint(job_.fingerprint());
  manifest.set_version(files->version);
  manifest.set_set_id(files->set_id);
  manifest.set_total_elements(job_.layout().total_elements());
  for (v1::CheckpointFile& file : files->files) {
    *manifest.add_files() = std::move(file);
  }
  manifest.set_coordinator_state(state.SerializeAsString());
  pending_state_ = std::move(state);
  return manifest;
}

void Coordinator::OnManifestWritten(uint64_t set_id, const absl::Status& status,
                                    int64_t bytes, absl::Time now) {
  Observe(now);
  const int64_t version = plan_.capture().version();
  if (plan_.OnManifestWritten(set_id, status, bytes, now_)) {
    roll_.AddPoint({.version = version,
                    .set_id = set_id,
                    .state = std::move(pending_state_)},
                   job_.checkpoint_policy().keep());
  }
  Settle();
}

}  // namespace tessera
