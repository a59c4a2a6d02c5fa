// What a checkpoint plan tells others.

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/coordinator/checkpoint_plan.h"

namespace tessera {

v1::Capture CheckpointPlan::capture() const {
  v1::Capture capture;
  if (attempt_.has_value()) {
    capture.set_version(attempt_->version);
    capture.set_set_id(attempt_->set_id);
  }
  return capture;
}

std::optional<CheckpointOutcome> CheckpointPlan::OutcomeOf(
    uint64_t set_id) const {
  // Each is put off to one that was drawn later.
  for (const auto& [from, to] : put_off_) {
    if (from == set_id) set_id = to;
  }
  if (set_id != 0 && (set_id == next_set_id_ ||
                      (attempt_.has_value() && set_id == attempt_->set_id))) {
    return std::nullopt;
  }
  for (const CheckpointOutcome& outcome : outcomes_) {
    if (outcome.set_id == set_id) return outcome;
  }
  return CheckpointOutcome{
      .status = absl::NotFoundError(
          absl::StrCat("no checkpoint ", absl::Hex(set_id), " is known")),
      .set_id = set_id};
}

std::string CheckpointPlan::PartName(size_t shard) const {
  return absl::StrCat("shard ", shard);
}

std::vector<Awaited> CheckpointPlan::Waits() const {
  std::vector<Awaited> waits;
  if (!attempt_.has_value()) return waits;
  for (size_t i = 0; i < shard_count_; ++i) {
    const Part& part = attempt_->parts[i];
    if (!part.ready) {
      waits.push_back({absl::StrCat(PartName(i),
                                    " to be ready for the checkpoint of "
                                    "version ",
                                    attempt_->version),
                       attempt_->since});
    } else if (!part.file.has_value() && attempt_->writing.has_value()) {
      waits.push_back({absl::StrCat(PartName(i),
                                    " to write its part of the checkpoint of "
                                    "version ",
                                    attempt_->version),
                       *attempt_->writing});
    }
  }
  return waits;
}

void CheckpointPlan::WriteTo(v1::CheckpointStatus& status) const {
  status.set_written(written_);
  status.set_failed(failed_);
  status.set_last_failure(last_failure_);
  status.set_bytes(last_bytes_);
  status.set_duration_ms(absl::ToInt64Milliseconds(last_duration_));
  status.set_pending_version(attempt_.has_value() ? attempt_->version : -1);
  if (!attempt_.has_value()) return;
  for (size_t i = 0; i < shard_count_; ++i) {
    if (!attempt_->parts[i].file.has_value()) {
      status.add_pending_on(PartName(i));
    }
  }
  if (status.pending_on().empty()) status.add_pending_on("the manifest");
}

}  // namespace tessera
