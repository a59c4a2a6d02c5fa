// A job that went back ends as one that did not.

#include <catch2/catch.hpp>

#include "tests/unit/coordinator/checkpointing.h"

namespace tessera {
namespace {

// A loss that first falls, then does not: the plateau depends on what was seen.
double Loss(int64_t version) { return version <= 12 ? 100.0 - version : 90.0; }

struct Plateau : ServersFixture {
  Plateau()
      : ServersFixture({.microbatches = 2,
                        .steps = 400,
                        .test_examples = 10,
                        .evaluation = "every_steps: 4"},
                       Every(6), {}, Stop()) {}

  static v1::Stop Stop() {
    v1::Stop stop;
    stop.mutable_plateau()->set_evaluations(4);
    return stop;
  }
  // Everything that a status says of what was learnt.
  std::string Record() const {
    v1::GetStatusResponse record;
    const v1::GetStatusResponse status = Status();
    record.set_steps_done(status.steps_done());
    record.set_end_reason(status.end_reason());
    *record.mutable_steps() = status.steps();
    *record.mutable_evaluations() = status.evaluations();
    return record.DebugString();
  }
};

TEST_CASE("a job that went back ends as one that did not") {
  Plateau calm;
  calm.ObeyAll();
  calm.TrainTo(calm.Join(), 400, Loss);
  REQUIRE(calm.coordinator->ended());
  // 12 is the best; 16, 20, 24 and 28 are no better.
  REQUIRE(calm.Status().steps_done() == 28);
  REQUIRE(calm.Status().end_reason() == v1::END_REASON_PLATEAU);

  Plateau f;
  // Between checkpoints of 6, 12, 18 and 24: a set is written once its version
  // is reached, and used `later` steps on.
  const int64_t checkpoint = GENERATE(6, 12, 18, 24);
  const int64_t later = GENERATE(0, 1, 3);
  CAPTURE(checkpoint, later);
  f.ObeyAll();
  const WorkerId a = f.Join();
  for (int64_t at = 6; at <= checkpoint; at += 6) {
    f.TrainTo(a, at, Loss);
    REQUIRE(f.Write().version() == at);
  }
  f.TrainTo(a, checkpoint + later, Loss);
  f.Replace(GENERATE(0, 1));
  f.ObeyAll();
  REQUIRE(f.coordinator->steps_done() == checkpoint);
  f.TrainTo(a, 400, Loss);
  REQUIRE(f.Record() == calm.Record());
}

TEST_CASE("a coordinator started anew ends as one that was not") {
  Plateau calm;
  calm.ObeyAll();
  calm.TrainTo(calm.Join(), 400, Loss);

  Plateau f;
  f.ObeyAll();
  const WorkerId a = f.Join();
  const int64_t checkpoint = GENERATE(6, 12, 18, 24);
  CAPTURE(checkpoint);
  v1::CheckpointManifest manifest;
  for (int64_t at = 6; at <= checkpoint; at += 6) {
    f.TrainTo(a, at, Loss);
    manifest = f.Write();
  }
  RestorePoint point{.version = manifest.version(),
                     .set_id = manifest.set_id()};
  REQUIRE(point.state.ParseFromString(manifest.coordinator_state()));
  f.coordinator = Coordinator::Create(
      f.job, CoordinatorFixture::Complete(AttendedOptions({point})));
  f.Replace(0);
  f.ObeyAll();
  REQUIRE(f.coordinator->generation() == 2);
  f.TrainTo(f.Join(), 400, Loss);
  REQUIRE(f.Record() == calm.Record());
}

}  // namespace
}  // namespace tessera
