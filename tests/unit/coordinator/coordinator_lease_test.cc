// Who gets which piece of training when, and what becomes of it.

#include <catch2/catch.hpp>

#include "tests/unit/coordinator/coordinator_fixture.h"

namespace tessera {
namespace {

constexpr auto kNotFound = absl::StatusCode::kNotFound;

// Eight microbatches a step, no evaluation in sight.
struct Training : CoordinatorFixture {
  Training()
      : CoordinatorFixture({.microbatches = 8,
                            .steps = 100,
                            .evaluation = "every_steps: 50"}) {}
};

TEST_CASE_METHOD(Training, "two workers share a step, then look ahead by one") {
  const WorkerId a = Join(), b = Join();
  REQUIRE(Ask(a, 0) == "step 0 [0, 4)");
  // Its pushes are under way: the range stays its own. b has not come: a helps.
  REQUIRE(Ask(a, 0) == "step 0 [4, 6)");
  REQUIRE(Ask(b, 0) == "step 0 [6, 8)");
  REQUIRE(Ask(b, 0) == "step 1 [0, 4)");
  REQUIRE(Ask(a, 0) == "step 1 [4, 8)");
  REQUIRE(coordinator->steps_done() == 0);
  // Proof that version 1 is complete: step 1 is current, 2 is ahead.
  REQUIRE(Ask(a, 1) == "step 2 [0, 4)");
  REQUIRE(coordinator->steps_done() == 1);
  REQUIRE(Ask(b, 1) == "step 2 [4, 8)");
}

TEST_CASE_METHOD(Training, "nothing is granted two steps ahead") {
  const WorkerId a = Join(), b = Join();
  REQUIRE(Ask(a, 0) == "step 0 [0, 4)");
  REQUIRE(Ask(b, 0) == "step 0 [4, 8)");
  REQUIRE(Ask(a, 0) == "step 1 [0, 4)");
  REQUIRE(Ask(b, 0) == "step 1 [4, 8)");
  const WorkerId c = Join();
  REQUIRE(Ask(c) == "none");
}

TEST_CASE_METHOD(Training,
                 "a worker that comes back without a unit ahead of "
                 "the current step has dropped it") {
  const WorkerId a = Join(), b = Join();
  REQUIRE(Ask(a, 0) == "step 0 [0, 4)");
  REQUIRE(Ask(b, 0) == "step 0 [4, 8)");
  REQUIRE(Ask(a, 0) == "step 1 [0, 4)");
  REQUIRE(Ask(a, 0) == "step 1 [0, 4)");
  // With proof that it did it, it keeps it.
  REQUIRE(Ask(b, 0) == "step 1 [4, 8)");
  REQUIRE(Ask(a, 1) == "step 2 [0, 4)");
}

TEST_CASE_METHOD(Training, "proof may cover two steps at once") {
  const WorkerId a = Join();
  REQUIRE(Ask(a, 0) == "step 0 [0, 8)");
  REQUIRE(Ask(a, 0) == "step 1 [0, 8)");
  REQUIRE(Ask(a, 2) == "step 2 [0, 8)");
  REQUIRE(coordinator->steps_done() == 2);
}

TEST_CASE_METHOD(Training, "a version that cannot exist yet proves nothing") {
  const WorkerId a = Join(), b = Join();
  REQUIRE(Ask(a, 1) == "step 0 [0, 4)");
  REQUIRE(Ask(b, 2) == "step 0 [4, 8)");
  REQUIRE(coordinator->steps_done() == 0);
  REQUIRE(Ask(b, 3) == "step 1 [0, 4)");
  REQUIRE(Ask(a, int64_t{1} << 60) == "step 1 [4, 8)");
  REQUIRE(coordinator->steps_done() == 0);
}

TEST_CASE_METHOD(Training, "a late proof of an old version changes nothing") {
  const WorkerId a = Join();
  Ask(a, 0);
  Ask(a, 0);
  Ask(a, 2);
  REQUIRE(coordinator->steps_done() == 2);
  REQUIRE(Ask(a, 1) == "step 3 [0, 8)");
  REQUIRE(coordinator->steps_done() == 2);
}

TEST_CASE_METHOD(Training, "ranges follow measured speed") {
  const WorkerId fast = Join(), slow = Join();
  const WorkReport fast_report{.have_version = 0, .microbatch_seconds = 0.1};
  const WorkReport slow_report{.have_version = 0, .microbatch_seconds = 1};
  REQUIRE(Ask(slow, slow_report) == "step 0 [0, 4)");  // Nothing known yet.
  REQUIRE(Ask(fast, fast_report) == "step 0 [4, 8)");
  REQUIRE(Ask(slow, slow_report) == "step 1 [0, 1)");
  REQUIRE(Ask(fast, fast_report) == "step 1 [4, 8)");
  const WorkReport fast_at_1{.have_version = 1, .microbatch_seconds = 0.1};
  REQUIRE(Ask(fast, fast_at_1) == "step 1 [2, 4)");
  REQUIRE(Ask(fast, fast_at_1) == "step 1 [1, 2)");
  // The slow one's own, too, which will be long about it.
  REQUIRE(Ask(fast, fast_at_1) == "step 1 [0, 1)");
  REQUIRE(Ask(fast, fast_at_1) == "step 2 [0, 4)");
}

TEST_CASE_METHOD(Training, "a silent worker loses its range to another") {
  const WorkerId a = Join(), b = Join();
  REQUIRE(Ask(a, 0) == "step 0 [0, 4)");
  REQUIRE(Ask(b, 0) == "step 0 [4, 8)");
  now += kLease;
  REQUIRE_FALSE(Recalled(b));
  now += absl::Milliseconds(1);
  coordinator->Tick(now);
  REQUIRE(Ask(b, 0) == "step 0 [0, 4)");
  // Whatever it calls, it learns that it is out.
  REQUIRE(Ask(a, 0) == "NOT_FOUND");
  REQUIRE_ERROR(coordinator->Renew(a, 0, now), kNotFound, "worker 1",
                "join again");
  REQUIRE_ERROR(Report(a, 50, 0, 1), kNotFound);
  coordinator->Leave(a, now);
}

TEST_CASE_METHOD(Training, "leases run out without a tick, at any call") {
  const WorkerId a = Join(), b = Join();
  Ask(a, 0);
  now += kLease * 0.9;
  REQUIRE_FALSE(Recalled(b));
  now += kLease * 0.2;
  REQUIRE(Ask(b, 0) == "step 0 [0, 8)");
}

TEST_CASE_METHOD(Training, "asking and renewing keep a lease alive") {
  const WorkerId a = Join(), b = Join();
  for (int i = 0; i < 5; ++i) {
    now += kLease * 0.9;
    REQUIRE_FALSE(Recalled(a));
    REQUIRE(Ask(b, 0) != "NOT_FOUND");
  }
}

TEST_CASE_METHOD(Training, "who leaves gives back at once, and twice is fine") {
  const WorkerId a = Join(), b = Join();
  REQUIRE(Ask(a, 0) == "step 0 [0, 4)");
  coordinator->Leave(a, now);
  coordinator->Leave(a, now);
  coordinator->Leave(WorkerId(99), now);
  REQUIRE(Ask(b, 0) == "step 0 [0, 8)");
}

TEST_CASE_METHOD(Training, "workers ahead are called back to a free range") {
  const WorkerId a = Join(), b = Join();
  REQUIRE(Ask(a, 0) == "step 0 [0, 4)");
  REQUIRE(Ask(b, 0) == "step 0 [4, 8)");
  REQUIRE(Ask(a, 0) == "step 1 [0, 4)");
  REQUIRE_FALSE(Recalled(a));
  coordinator->Leave(b, now);
  // Step 1 cannot begin before [4, 8) of step 0 is done by someone.
  REQUIRE(Recalled(a));
  REQUIRE(Ask(a, {.have_version = 0, .gives_up_last = true}) ==
          "step 0 [4, 8)");
  REQUIRE_FALSE(Recalled(a));
  REQUIRE(Ask(a, 0) == "step 1 [0, 8)");
}

TEST_CASE_METHOD(Training, "who works on the current step is not called back") {
  const WorkerId a = Join(), b = Join(), c = Join();
  REQUIRE(Ask(a, 0) == "step 0 [0, 2)");
  Ask(b, 0);
  Ask(c, 0);
  coordinator->Leave(b, now);
  REQUIRE_FALSE(Recalled(a));
}

TEST_CASE_METHOD(Training,
                 "a unit of the current step is kept unless given "
                 "up") {
  const WorkerId a = Join(), b = Join();
  REQUIRE(Ask(a, 0) == "step 0 [0, 4)");
  REQUIRE(Ask(b, 0) == "step 0 [4, 8)");
  REQUIRE(Ask(b, {.have_version = 0, .gives_up_last = true}) ==
          "step 0 [4, 8)");
  // Only the last: what was granted before it is being pushed.
  REQUIRE(Ask(b, 0) == "step 1 [0, 4)");
  REQUIRE(Ask(b, {.have_version = 0, .gives_up_last = true}) ==
          "step 1 [0, 4)");
  REQUIRE(Ask(a, 0) == "step 1 [4, 8)");
}

TEST_CASE_METHOD(Training, "a unit given back is granted as few pieces") {
  const WorkerId a = Join(), b = Join(), c = Join();
  REQUIRE(Ask(a, 0) == "step 0 [0, 2)");
  REQUIRE(Ask(b, 0) == "step 0 [2, 4)");
  REQUIRE(Ask(c, 0) == "step 0 [4, 6)");
  coordinator->Leave(a, now);
  coordinator->Leave(b, now);
  // [0, 4) and [6, 8) are free; alone, c takes the largest node.
  REQUIRE(Ask(c, 0) == "step 0 [0, 4)");
  REQUIRE(Ask(c, 0) == "step 0 [6, 8)");
}

TEST_CASE_METHOD(Training, "a repeated request gets the same unit") {
  const WorkerId a = Join(), b = Join();
  const WorkReport first{.have_version = 0, .request_number = 1};
  REQUIRE(Ask(a, first) == "step 0 [0, 4)");
  REQUIRE(Ask(a, first) == "step 0 [0, 4)");
  REQUIRE(Ask(b, 0) == "step 0 [4, 8)");
  // Even when its step is over: its sender may have done it.
  REQUIRE(Ask(b, 1) == "step 1 [0, 4)");
  REQUIRE(Ask(a, first) == "step 0 [0, 4)");
  REQUIRE(Ask(a, {.have_version = 1, .request_number = 2}) == "step 1 [4, 8)");
}

TEST_CASE_METHOD(Training, "an older request than the newest gets nothing") {
  const WorkerId a = Join();
  REQUIRE(Ask(a, {.have_version = 0, .request_number = 5}) == "step 0 [0, 8)");
  REQUIRE(Ask(a, {.have_version = 0, .request_number = 4}) == "none");
  REQUIRE(Ask(a, {.have_version = 0, .request_number = 6}) == "step 1 [0, 8)");
}

TEST_CASE_METHOD(Training, "what a repeat was granted unseen is given up") {
  const WorkerId a = Join(), b = Join();
  Ask(a, 0);
  Ask(a, 0);
  Ask(a, 0);
  Ask(a, 0);
  const WorkReport waiting{.have_version = 0, .request_number = 1};
  REQUIRE(Ask(b, waiting) == "step 1 [0, 4)");
  // Its first answer, sent before, was that there is none.
  REQUIRE(
      Ask(b, {.have_version = 0, .gives_up_last = true, .request_number = 2}) ==
      "step 1 [0, 4)");
}

TEST_CASE_METHOD(Training, "giving up nothing leaves what is being pushed") {
  const WorkerId a = Join(), b = Join();
  REQUIRE(Ask(a, 0) == "step 0 [0, 4)");
  REQUIRE(Ask(b, 0) == "step 0 [4, 8)");
  REQUIRE(Ask(b, 0) == "step 1 [0, 4)");
  const WorkerId c = Join();
  REQUIRE(Ask(c, 0) == "step 1 [4, 6)");
  const WorkerId d = Join();
  REQUIRE(Ask(d, 0) == "step 1 [6, 8)");
  REQUIRE(Ask(a, 0) == "none");
  REQUIRE(Ask(a, {.have_version = 0, .gives_up_last = true}) == "none");
  REQUIRE(Status().workers(0).holds() == "step 0 [0, 4)");
}

TEST_CASE_METHOD(Training, "looking for work again does not extend a lease") {
  const WorkerId a = Join(), b = Join();
  Ask(a, 0);
  Ask(b, 0);
  Ask(a, 0);
  Ask(b, 0);
  const WorkerId c = Join();
  const WorkReport waiting{.request_number = 1};
  REQUIRE(Ask(c, waiting) == "none");
  for (int i = 0; i < 2; ++i) {
    now += kLease * 0.6;
    coordinator->Renew(a, 0, now).IgnoreError();
    coordinator->Renew(b, 0, now).IgnoreError();
    REQUIRE(Ask(c, waiting) == (i == 0 ? "none" : "NOT_FOUND"));
  }
}

TEST_CASE_METHOD(Training,
                 "a job whose workers all died goes on with new "
                 "ones") {
  const WorkerId a = Join();
  Ask(a, 0);
  Ask(a, 0);
  now += 2 * kLease;
  const WorkerId b = Join();
  REQUIRE(b != a);
  REQUIRE(Ask(b) == "step 0 [0, 8)");
  // The dead one's pushes had completed it.
  REQUIRE(Ask(b, 1) == "step 1 [0, 8)");
}

TEST_CASE_METHOD(Training, "time that goes back stands still") {
  const WorkerId a = Join();
  now += absl::Seconds(9);
  REQUIRE_FALSE(Recalled(a));
  now -= absl::Hours(1);
  REQUIRE_FALSE(Recalled(a));
  now += absl::Hours(1) + absl::Seconds(10);
  REQUIRE_FALSE(Recalled(a));
}

TEST_CASE("one microbatch keeps one worker busy, and the next one ready") {
  CoordinatorFixture f({.microbatches = 1, .steps = 10});
  const WorkerId a = f.Join(), b = f.Join(), c = f.Join();
  REQUIRE(f.Ask(a, 0) == "step 0 [0, 1)");
  REQUIRE(f.Ask(b, 0) == "step 1 [0, 1)");
  REQUIRE(f.Ask(c, 0) == "none");
  REQUIRE(f.Ask(a, 1) == "step 2 [0, 1)");
}

}  // namespace
}  // namespace tessera
