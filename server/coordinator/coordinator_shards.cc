// What a coordinator has to do with the job's servers: who is there, where they
// start from, and the checkpoints that they make.

#include "absl/status/status.h"
#include "server/coordinator/coordinator.h"

namespace tessera {

absl::StatusOr<v1::AttendResponse> Coordinator::Attend(
    const v1::AttendRequest& /*request*/, absl::Time now) {
  Observe(now);
  return absl::FailedPreconditionError("servers do not attend");
}

uint64_t Coordinator::orders(int /*shard*/) const { return 0; }

int64_t Coordinator::generation() const { return 0; }

absl::StatusOr<uint64_t> Coordinator::RequestCheckpoint(absl::Time now) {
  Observe(now);
  return absl::FailedPreconditionError("this job makes no checkpoints");
}

std::optional<CheckpointOutcome> Coordinator::OutcomeOf(
    uint64_t /*set_id*/) const {
  return std::nullopt;
}

std::optional<v1::CheckpointManifest> Coordinator::TakeManifest() {
  return std::nullopt;
}

void Coordinator::OnManifestWritten(uint64_t /*set_id*/,
                                    const absl::Status& /*status*/,
                                    int64_t /*bytes*/, absl::Time now) {
  Observe(now);
}

}  // namespace tessera
