// A job of 40 steps, evaluated every 10, whose servers make checkpoints.

#ifndef TESSERA_TESTS_UNIT_COORDINATOR_CHECKPOINTING_H_
#define TESSERA_TESTS_UNIT_COORDINATOR_CHECKPOINTING_H_

#include <string>

#include "tests/unit/coordinator/servers_fixture.h"

namespace tessera {

inline const TestJobOptions kCheckpointingJob{.microbatches = 2,
                                              .steps = 40,
                                              .test_examples = 10,
                                              .evaluation = "every_steps: 10"};

inline v1::Operation Every(int64_t steps, double seconds = 0) {
  v1::Operation operation;
  operation.mutable_checkpoint()->set_every_steps(steps);
  operation.mutable_checkpoint()->set_every_seconds(seconds);
  operation.mutable_checkpoint()->set_keep(2);
  return operation;
}

struct Checkpointing : ServersFixture {
  explicit Checkpointing(const v1::Operation& operation = Every(6))
      : ServersFixture(kCheckpointingJob, operation), worker(Join()) {
    ObeyAll();
  }

  void TrainTo(int64_t version) { ServersFixture::TrainTo(worker, version); }
  v1::CheckpointStatus Checkpoint() const { return Status().checkpoint(); }
  uint64_t Request() {
    const auto set_id = coordinator->RequestCheckpoint(now);
    REQUIRE_OK(set_id);
    return *set_id;
  }
  // "pending", "version 6 set 1000", or the error.
  std::string Outcome(uint64_t set_id) const {
    const auto outcome = coordinator->OutcomeOf(set_id);
    if (!outcome.has_value()) return "pending";
    if (!outcome->status.ok()) return outcome->status.ToString();
    return absl::StrCat("version ", outcome->version, " set ", outcome->set_id);
  }

  WorkerId worker;
};

struct OnDemand : Checkpointing {
  OnDemand() : Checkpointing(Every(1000)) {}
};

}  // namespace tessera

#endif  // TESSERA_TESTS_UNIT_COORDINATOR_CHECKPOINTING_H_
