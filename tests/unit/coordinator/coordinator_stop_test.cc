// Ending a job before its time.

#include <catch2/catch.hpp>

#include "tests/unit/coordinator/coordinator_fixture.h"

namespace tessera {
namespace {

// Evaluated at versions 4 and 8, in one chunk.
struct Stopping : CoordinatorFixture {
  Stopping()
      : CoordinatorFixture({.microbatches = 2,
                            .steps = 100,
                            .test_examples = 10,
                            .evaluation = "every_steps: 4"}) {}

  void Stop() { coordinator->RequestStop(now); }
};

TEST_CASE_METHOD(Stopping, "a step under way is finished and evaluated") {
  const WorkerId a = Join(), b = Join();
  REQUIRE(Ask(a, 0) == "step 0 [0, 1)");
  Stop();
  // Its other half is still granted.
  REQUIRE(Ask(b, 0) == "step 0 [1, 2)");
  REQUIRE(Ask(a, 1) == "evaluation of 1, chunks [0, 1)");
  REQUIRE(Status().steps_total() == 1);
  REQUIRE_OK(Report(a, 1, 0, 1));
  REQUIRE(Ask(b, 1) == "end STOPPED");
  REQUIRE(coordinator->steps_done() == 1);
  REQUIRE(Status().evaluations(0).version() == 1);
}

TEST_CASE_METHOD(Stopping, "a step that was granted ahead is the last") {
  const WorkerId a = Join();
  REQUIRE(Ask(a, 0) == "step 0 [0, 2)");
  REQUIRE(Ask(a, 0) == "step 1 [0, 2)");
  Stop();
  REQUIRE(Status().steps_total() == 2);
  REQUIRE(Ask(a, 1) == "evaluation of 2, chunks [0, 1)");
  REQUIRE_OK(Report(a, 2, 0, 1));
  REQUIRE(Ask(a, 2) == "end STOPPED");
}

TEST_CASE_METHOD(Stopping,
                 "even one that was granted and given back: its "
                 "pushes may be under way") {
  const WorkerId a = Join(), b = Join();
  REQUIRE(Ask(a, 0) == "step 0 [0, 1)");
  REQUIRE(Ask(b, 0) == "step 0 [1, 2)");
  REQUIRE(Ask(b, 0) == "step 1 [0, 1)");
  coordinator->Leave(b, now);
  Stop();
  REQUIRE(Status().steps_total() == 2);
}

TEST_CASE_METHOD(Stopping,
                 "before anything was granted, version 0 is the "
                 "last") {
  const WorkerId a = Join();
  Stop();
  REQUIRE(Ask(a) == "evaluation of 0, chunks [0, 1)");
  REQUIRE_OK(Report(a, 0, 0, 1));
  REQUIRE(Ask(a, 0) == "end STOPPED");
  REQUIRE(coordinator->steps_done() == 0);
}

TEST_CASE_METHOD(Stopping, "a version is not evaluated twice") {
  const WorkerId a = Join();
  for (int64_t v = 0; v < 4; ++v) Ask(a, v);
  REQUIRE(Ask(a, 4) == "evaluation of 4, chunks [0, 1)");
  REQUIRE_OK(Report(a, 4, 0, 1));
  Stop();
  REQUIRE(coordinator->ended());
  REQUIRE(coordinator->steps_done() == 4);
  REQUIRE(Status().evaluations_size() == 1);
}

TEST_CASE_METHOD(Stopping, "an evaluation under way becomes the last") {
  const WorkerId a = Join();
  for (int64_t v = 0; v < 4; ++v) Ask(a, v);
  REQUIRE(Ask(a, 4) == "evaluation of 4, chunks [0, 1)");
  Stop();
  REQUIRE_FALSE(coordinator->ended());
  REQUIRE_OK(Report(a, 4, 0, 1));
  REQUIRE(Ask(a, 4) == "end STOPPED");
}

TEST_CASE_METHOD(Stopping, "asking twice is asking once") {
  const WorkerId a = Join();
  REQUIRE(Ask(a, 0) == "step 0 [0, 2)");
  Stop();
  REQUIRE(Ask(a, 0) == "evaluation of 1, chunks [0, 1)");
  Stop();
  REQUIRE_OK(Report(a, 1, 0, 1));
  REQUIRE(Ask(a, 1) == "end STOPPED");
}

TEST_CASE_METHOD(Stopping, "without a worker a stop is the end") {
  Stop();
  REQUIRE(coordinator->ended());
  REQUIRE(Status().end_reason() == v1::END_REASON_STOPPED);
  REQUIRE(Status().evaluations().empty());
}

TEST_CASE_METHOD(Stopping,
                 "when the last worker goes after a stop, it is the "
                 "end") {
  const bool leaves = GENERATE(true, false);
  const WorkerId a = Join();
  Ask(a, 0);
  Stop();
  REQUIRE_FALSE(coordinator->ended());
  if (leaves) {
    coordinator->Leave(a, now);
  } else {
    now += kLease + absl::Seconds(1);
    coordinator->Tick(now);
  }
  REQUIRE(coordinator->ended());
  REQUIRE(coordinator->steps_done() == 0);
}

TEST_CASE("a stop in the last step leaves the job's own end") {
  CoordinatorFixture f({.microbatches = 1, .steps = 1, .test_examples = 10});
  const WorkerId a = f.Join();
  f.Ask(a, 0);
  f.coordinator->RequestStop(f.now);
  f.Ask(a, 1);
  REQUIRE_OK(f.Report(a, 1, 0, 1));
  REQUIRE(f.Ask(a, 1) == "end STEPS");
}

TEST_CASE("an evaluation that is only due to a stop decides nothing else") {
  v1::Stop stop;
  stop.set_target_loss(100);
  CoordinatorFixture f({.microbatches = 1,
                        .steps = 50,
                        .test_examples = 10,
                        .evaluation = "every_steps: 5"},
                       stop);
  const WorkerId a = f.Join();
  f.Ask(a, 0);
  f.coordinator->RequestStop(f.now);
  f.Ask(a, 1);
  REQUIRE_OK(f.Report(a, 1, 0, 1));
  REQUIRE(f.Ask(a, 1) == "end STOPPED");
}

}  // namespace
}  // namespace tessera
