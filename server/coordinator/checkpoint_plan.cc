#include "server/coordinator/checkpoint_plan.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"

namespace tessera {

CheckpointPlan::CheckpointPlan(const v1::CheckpointPolicy& policy,
                               int shard_count,
                               std::function<uint64_t()> draw_set_id)
    : policy_(policy),
      shard_count_(static_cast<size_t>(shard_count)),
      draw_set_id_(std::move(draw_set_id)) {}

bool CheckpointPlan::Attempt::all_ready() const {
  return std::all_of(parts.begin(), parts.end(),
                     [](const Part& part) { return part.ready; });
}

bool CheckpointPlan::Attempt::all_written() const {
  return std::all_of(parts.begin(), parts.end(),
                     [](const Part& part) { return part.file.has_value(); });
}

void CheckpointPlan::Begin(absl::Time now) {
  last_end_ = now;
  last_was_tried_ = false;
}

void CheckpointPlan::Consider(const Stand& stand, absl::Time now) {
  PutOffUnreachable(stand);
  if (attempt_.has_value() || !stand.servers_there) return;
  if (stand.ended) {
    ConsiderLast(stand, now);
  } else {
    ConsiderNext(stand, now);
  }
}

void CheckpointPlan::PutOffUnreachable(const Stand& stand) {
  if (!attempt_.has_value()) return;
  const int64_t reachable = stand.ended ? stand.version : stand.last_version;
  if (attempt_->version <= reachable) return;
  if (attempt_->asked_for) {
    // The one of the last version is for whoever asked.
    if (next_set_id_ == 0) next_set_id_ = draw_set_id_();
    put_off_.emplace_back(attempt_->set_id, next_set_id_);
    if (put_off_.size() > kOutcomes) put_off_.pop_front();
  }
  attempt_.reset();
}

void CheckpointPlan::ConsiderLast(const Stand& stand, absl::Time now) {
  if (stand.newest_possible > stand.version) {
    // Some blocks may be further than others, and no one will go on.
    if (next_set_id_ == 0) return;
    Remember({.status = absl::AbortedError(absl::StrCat(
                  "the job ended in the middle of step ", stand.version)),
              .version = stand.version,
              .set_id = next_set_id_});
    next_set_id_ = 0;
    return;
  }
  const bool is_due =
      stand.restore_version != stand.version && !last_was_tried_;
  if (!is_due && next_set_id_ == 0) return;
  last_was_tried_ = true;
  Order(stand.version, now).memory = stand.memory;
}

void CheckpointPlan::ConsiderNext(const Stand& stand, absl::Time now) {
  const std::optional<int64_t> version = DueVersion(stand, now);
  if (version.has_value() && *version <= stand.last_version) {
    Order(*version, now);
  }
}

std::optional<int64_t> CheckpointPlan::DueVersion(const Stand& stand,
                                                  absl::Time now) const {
  const int64_t lowest = stand.newest_possible + 1;
  if (next_set_id_ != 0) return lowest;
  if (policy_.every_seconds() > 0 &&
      now - last_end_ >= absl::Seconds(policy_.every_seconds())) {
    return lowest;
  }
  if (policy_.every_steps() > 0) {
    const int64_t every = policy_.every_steps();
    const int64_t multiple = (stand.newest_possible / every + 1) * every;
    if (multiple < lowest + kLead) return multiple;
  }
  return std::nullopt;
}

CheckpointPlan::Attempt& CheckpointPlan::Order(int64_t version,
                                               absl::Time now) {
  // Not emplace(): clang finds a nested class with initialisers unfit for it.
  attempt_ = Attempt{};
  Attempt& attempt = *attempt_;
  attempt.version = version;
  attempt.asked_for = next_set_id_ != 0;
  attempt.set_id = attempt.asked_for ? next_set_id_ : draw_set_id_();
  TESSERA_CHECK(attempt.set_id != 0);
  next_set_id_ = 0;
  attempt.since = now;
  attempt.parts.resize(shard_count_);
  return attempt;
}

uint64_t CheckpointPlan::Request(const Stand& stand) {
  const bool will_do = attempt_.has_value() &&
                       (attempt_->version > stand.newest_possible ||
                        (stand.ended && attempt_->version == stand.version));
  if (will_do) {
    attempt_->asked_for = true;
    return attempt_->set_id;
  }
  if (next_set_id_ == 0) next_set_id_ = draw_set_id_();
  return next_set_id_;
}

bool CheckpointPlan::HoldsBack(int64_t step) const {
  return attempt_.has_value() && !attempt_->all_ready() &&
         step + 1 >= attempt_->version;
}

void CheckpointPlan::OnVersion(int64_t version, const StopMemory& memory,
                               absl::Time now) {
  if (!attempt_.has_value() || attempt_->version != version) return;
  attempt_->memory = memory;
  Advance(now);
}

void CheckpointPlan::Hear(const v1::AttendRequest& request, absl::Time now) {
  if (!attempt_.has_value()) return;
  if (request.capture_ready() == attempt_->set_id) {
    attempt_->parts.at(static_cast<size_t>(request.shard())).ready = true;
  }
  if (request.capture_result().set_id() == attempt_->set_id) {
    TakeResult(request.shard(), request.capture_result(), now);
  }
  Advance(now);
}

void CheckpointPlan::TakeResult(int shard, const v1::CaptureResult& result,
                                absl::Time now) {
  const std::string name = PartName(static_cast<size_t>(shard));
  if (!result.has_file()) {
    const std::string& failure = result.failure();
    GiveUp(
        absl::StrCat(name, ": ", failure.empty() ? "no reason given" : failure),
        now);
    return;
  }
  if (result.file().shard() != shard) {
    GiveUp(absl::StrCat(name, " told of the file of shard ",
                        result.file().shard()),
           now);
    return;
  }
  Part& part = attempt_->parts.at(static_cast<size_t>(shard));
  part.ready = true;
  if (!part.file.has_value()) part.file = result.file();
}

void CheckpointPlan::Advance(absl::Time now) {
  if (!attempt_.has_value()) return;
  if (attempt_->all_ready() && attempt_->memory.has_value() &&
      !attempt_->writing.has_value()) {
    attempt_->writing = now;
  }
}

void CheckpointPlan::GiveUp(const std::string& why, absl::Time now) {
  if (attempt_.has_value()) Close(absl::AbortedError(why), 0, now);
}

void CheckpointPlan::GiveUpIfLate(absl::Duration patience, absl::Time now) {
  for (const Awaited& wait : Waits()) {
    if (now - wait.since <= patience) continue;
    GiveUp(absl::StrCat("waited too long for ", wait.what), now);
    return;
  }
}

std::optional<CheckpointPlan::Files> CheckpointPlan::TakeFiles() {
  if (!attempt_.has_value() || attempt_->taken ||
      !attempt_->memory.has_value() || !attempt_->all_written()) {
    return std::nullopt;
  }
  attempt_->taken = true;
  Files files{.version = attempt_->version,
              .set_id = attempt_->set_id,
              .memory = *attempt_->memory};
  for (const Part& part : attempt_->parts) files.files.push_back(*part.file);
  return files;
}

bool CheckpointPlan::OnManifestWritten(uint64_t set_id,
                                       const absl::Status& status,
                                       int64_t bytes, absl::Time now) {
  if (!attempt_.has_value() || attempt_->set_id != set_id || !attempt_->taken) {
    return false;
  }
  Close(status, bytes, now);
  return status.ok();
}

void CheckpointPlan::Close(const absl::Status& status, int64_t bytes,
                           absl::Time now) {
  CheckpointOutcome outcome{.version = attempt_->version,
                            .set_id = attempt_->set_id};
  if (status.ok()) {
    ++written_;
    last_failure_.clear();
    last_bytes_ = bytes;
    last_duration_ = now - attempt_->writing.value_or(now);
    outcome.bytes = bytes;
  } else {
    ++failed_;
    last_failure_ =
        absl::StrCat("version ", attempt_->version, ": ", status.message());
    outcome.status = absl::AbortedError(last_failure_);
  }
  Remember(std::move(outcome));
  last_end_ = now;
  attempt_.reset();
}

void CheckpointPlan::Remember(CheckpointOutcome outcome) {
  outcomes_.push_back(std::move(outcome));
  if (outcomes_.size() > kOutcomes) outcomes_.pop_front();
}

}  // namespace tessera
