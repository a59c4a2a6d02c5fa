// A job of 40 steps, evaluated every 10, whose servers come and go; no
// checkpoint is made before its end.

#ifndef TESSERA_TESTS_UNIT_COORDINATOR_RECOVERING_H_
#define TESSERA_TESTS_UNIT_COORDINATOR_RECOVERING_H_

#include <string>
#include <utility>
#include <vector>

#include "tests/unit/coordinator/servers_fixture.h"

namespace tessera {

inline RestorePoint Point(int64_t version, uint64_t set_id) {
  return {.version = version, .set_id = set_id, .state = {}};
}

inline const TestJobOptions kRecoveringJob{.microbatches = 2,
                                           .steps = 40,
                                           .test_examples = 10,
                                           .evaluation = "every_steps: 10"};

inline v1::Operation NoPeriodicCheckpoints() {
  v1::Operation operation;
  operation.mutable_checkpoint()->set_every_steps(1000);
  operation.mutable_checkpoint()->set_keep(2);
  return operation;
}

struct Recovering : ServersFixture {
  explicit Recovering(std::vector<RestorePoint> points = {})
      : ServersFixture(kRecoveringJob, NoPeriodicCheckpoints(),
                       std::move(points)) {}

  // "generation 3, version 20 of set 5".
  std::string Orders(int shard) {
    const v1::AttendResponse orders = Say(shard);
    return absl::StrCat("generation ", orders.generation(), ", version ",
                        orders.restore().version(), " of set ",
                        orders.restore().set_id());
  }
  void Fail(int shard, absl::StatusCode code) {
    const v1::AttendResponse orders = Say(shard);
    v1::RestoreFailure failure;
    failure.set_generation(orders.generation());
    failure.set_set_id(orders.restore().set_id());
    failure.set_code(static_cast<int>(code));
    failure.set_message("as it goes");
    servers.at(static_cast<size_t>(shard)).failure = failure;
    Say(shard);
  }
};

}  // namespace tessera

#endif  // TESSERA_TESTS_UNIT_COORDINATOR_RECOVERING_H_
