// Work that is repeated because its holder is slow.

#include <algorithm>
#include <catch2/catch.hpp>
#include <vector>

#include "tests/unit/coordinator/coordinator_fixture.h"

namespace tessera {
namespace {

WorkReport At(int64_t have_version, double microbatch_seconds) {
  return {.have_version = have_version,
          .microbatch_seconds = microbatch_seconds};
}
WorkReport GivesUp(int64_t have_version) {
  return {.have_version = have_version, .gives_up_last = true};
}

// Two microbatches a step; versions 10, 20, ... are evaluated in two chunks of
// one sample each.
struct Pair : CoordinatorFixture {
  Pair()
      : CoordinatorFixture({.microbatches = 2,
                            .steps = 100,
                            .test_examples = 2,
                            .evaluation = "every_steps: 10 "
                                          "chunk_examples: 1"}),
        quick(Join("quick")),
        other(Join("other")) {}

  // Each holds one half of step 0; the quick one's is computed.
  void Begin(double quick_seconds, double other_seconds) {
    REQUIRE(Ask(other, At(0, other_seconds)) == "step 0 [0, 1)");
    REQUIRE(Ask(quick, At(0, quick_seconds)) == "step 0 [1, 2)");
  }

  const WorkerId quick, other;
};

TEST_CASE_METHOD(Pair,
                 "what a slow worker will be long about is done at once") {
  Begin(1, 10);
  REQUIRE(Ask(quick, 0) == "step 0 [0, 1)");
  // Once is enough.
  REQUIRE(Ask(quick, 0) == "step 1 [0, 1)");
  REQUIRE(Ask(Join(), 0) == "step 1 [1, 2)");
  // The first answer wins; the other one catches up.
  REQUIRE(Ask(quick, 1) == "step 2 [0, 1)");
  REQUIRE(coordinator->steps_done() == 1);
  REQUIRE(Ask(other, 1) == "step 2 [1, 2)");
}

TEST_CASE_METHOD(Pair, "what is nearly done is not repeated") {
  Begin(1, 10);
  now += absl::Seconds(8);
  coordinator->Renew(other, 0, now).IgnoreError();
  // In two seconds; the quick one would take one, if the figures are right.
  REQUIRE(Ask(quick, 0) == "step 1 [0, 1)");
}

TEST_CASE_METHOD(Pair, "workers about as fast leave each other alone") {
  Begin(1, 1.9);
  REQUIRE(Ask(quick, 0) == "step 1 [0, 1)");
  REQUIRE_FALSE(Recalled(quick));
}

TEST_CASE_METHOD(Pair, "nor for a few milliseconds") {
  Begin(0.001, 0.01);
  REQUIRE(Ask(quick, 0) == "step 1 [0, 1)");
}

TEST_CASE_METHOD(Pair, "while no speed is known, nothing is repeated") {
  Begin(0, 0);
  now += kLease;
  REQUIRE(Ask(quick, 0) == "step 1 [0, 1)");
  REQUIRE_FALSE(Recalled(quick));
}

TEST_CASE_METHOD(Pair,
                 "who waits ahead is called back to repeat what is late") {
  Begin(1, 1);
  REQUIRE(Ask(quick, 0) == "step 1 [0, 1)");
  now += absl::Seconds(3);
  REQUIRE_FALSE(Recalled(quick));
  now += absl::Milliseconds(1);
  // Twice its second, and one more.
  REQUIRE(Recalled(quick));
  // Never the holder itself.
  REQUIRE_FALSE(Recalled(other));
  REQUIRE(Ask(quick, GivesUp(0)) == "step 0 [0, 1)");
  REQUIRE_FALSE(Recalled(quick));
  REQUIRE(Status().workers(0).holds() == "step 0 [0, 1), step 0 [1, 2)");
  REQUIRE(Status().workers(1).holds() == "step 0 [0, 1)");
}

TEST_CASE_METHOD(Pair, "a worker never repeats its own") {
  coordinator->Leave(other, now);
  REQUIRE(Ask(quick, At(0, 0.1)) == "step 0 [0, 2)");
  now += absl::Seconds(9);
  REQUIRE(Ask(quick, 0) == "step 1 [0, 2)");
  now += absl::Seconds(9);
  REQUIRE_FALSE(Recalled(quick));
}

TEST_CASE_METHOD(Pair, "what is computed and being pushed is not repeated") {
  Begin(1, 10);
  // It has come back for more.
  REQUIRE(Ask(other, 0) == "step 1 [0, 1)");
  REQUIRE(Ask(quick, 0) == "step 1 [1, 2)");
  now += absl::Seconds(9);
  REQUIRE_FALSE(Recalled(quick));
}

TEST_CASE_METHOD(Pair, "when the holder goes, the unit is its backup's") {
  Begin(1, 10);
  REQUIRE(Ask(quick, 0) == "step 0 [0, 1)");
  SECTION("it leaves") { coordinator->Leave(other, now); }
  SECTION("it gives it up") {
    REQUIRE(Ask(other, GivesUp(0)) == "step 1 [0, 1)");
  }
  REQUIRE(Status().workers(0).holds() == "step 0 [0, 1), step 0 [1, 2)");
  REQUIRE(Ask(Join(), 0).substr(0, 6) == "step 1");
}

TEST_CASE_METHOD(Pair, "when the backup goes, another may take over") {
  Begin(1, 10);
  REQUIRE(Ask(quick, 0) == "step 0 [0, 1)");
  SECTION("it leaves") {
    const WorkerId third = Join();
    REQUIRE(Ask(third, At(0, 1)) == "step 1 [0, 1)");
    coordinator->Leave(quick, now);
    // And does the half again that the dead one had not pushed.
    REQUIRE(Recalled(third));
    REQUIRE(Ask(third, GivesUp(0)) == "step 0 [1, 2)");
    REQUIRE(Ask(third, 0) == "step 0 [0, 1)");
  }
  SECTION("it gives it up") {
    REQUIRE(Ask(quick, GivesUp(0)) == "step 0 [0, 1)");
  }
}

TEST_CASE_METHOD(Pair, "a request that is repeated gets the same backup") {
  Begin(1, 10);
  const WorkReport report{.have_version = 0, .request_number = 5};
  REQUIRE(Ask(quick, report) == "step 0 [0, 1)");
  REQUIRE(Ask(quick, report) == "step 0 [0, 1)");
}

TEST_CASE_METHOD(Pair, "chunks are repeated as well, and count once") {
  for (int64_t step = 0; step < 10; ++step) {
    Ask(other, At(step, 10));
    Ask(quick, At(step, 1));
    Ask(quick, step);
  }
  REQUIRE(Ask(other, 10) == "evaluation of 10, chunks [0, 1)");
  REQUIRE(Ask(quick, 10) == "evaluation of 10, chunks [1, 2)");
  REQUIRE_OK(Report(quick, 10, 1, 2, 3));
  REQUIRE(Ask(quick, 10) == "evaluation of 10, chunks [0, 1)");
  REQUIRE(Ask(Join(), 10) == "none");
  REQUIRE_OK(Report(quick, 10, 0, 1, 5));
  REQUIRE_OK(Report(other, 10, 0, 1, 5));
  REQUIRE(Status().evaluations(0).loss() == 4);
}

// One worker ten times as slow as three others, each of which asks as soon as
// it is done: the job as a whole is hardly slower than without it.
TEST_CASE("a slow worker does not slow the job") {
  CoordinatorFixture f(
      {.microbatches = 8, .steps = 1000, .evaluation = "every_steps: 1000"});
  struct Model {
    WorkerId id;
    double seconds;  // For one microbatch.
    absl::Time free_at;
    int64_t step = 0;
    MicrobatchRange range;
    bool waits = true;
  };
  std::vector<Model> workers;
  for (const double seconds : {0.1, 0.1, 0.1, 1.0}) {
    workers.push_back({f.Join(), seconds, f.now});
  }
  const absl::Time start = f.now;
  std::vector<std::vector<bool>> done(1002, std::vector<bool>(8));
  int64_t version = 0;
  while (version < 100) {
    for (Model& w : workers) {
      if (f.now < w.free_at) continue;
      if (!w.waits) {
        // Work ahead of its time cannot be begun.
        if (w.step > version && !*f.coordinator->Renew(w.id, 0, f.now)) {
          continue;
        }
        if (w.step <= version) {
          for (int i = w.range.begin; i < w.range.end; ++i) {
            done[static_cast<size_t>(w.step)][static_cast<size_t>(i)] = true;
          }
        }
      }
      const auto grant = f.coordinator->GetWork(
          w.id,
          {.have_version = version,
           .microbatch_seconds = w.seconds,
           .gives_up_last = !w.waits && w.step > version},
          f.now);
      REQUIRE_OK(grant);
      const auto* train = std::get_if<TrainGrant>(&*grant);
      w.waits = train == nullptr;
      if (w.waits) continue;
      w.step = train->step;
      w.range = train->range;
      w.free_at = f.now + absl::Seconds(w.seconds * w.range.size());
    }
    const auto& step = done[static_cast<size_t>(version)];
    if (std::find(step.begin(), step.end(), false) == step.end()) ++version;
    f.now += absl::Milliseconds(10);
  }
  // Three workers need 0.3 s for eight microbatches of 0.1 s.
  const double seconds = absl::ToDoubleSeconds(f.now - start) / 100;
  CAPTURE(seconds);
  REQUIRE(seconds < 0.6);
}

}  // namespace
}  // namespace tessera
