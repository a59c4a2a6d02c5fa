// Evaluations as leased work, and what they decide.

#include <catch2/catch.hpp>
#include <limits>

#include "tests/unit/coordinator/coordinator_fixture.h"

namespace tessera {
namespace {

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

// Evaluated at versions 2, 4 and 5, in four chunks of 10, 10, 10 and 5.
TestJobOptions Options() {
  return {.microbatches = 2,
          .steps = 5,
          .test_examples = 35,
          .evaluation = "every_steps: 2 chunk_examples: 10"};
}

struct Evaluating : CoordinatorFixture {
  explicit Evaluating(const v1::Stop& stop = {})
      : CoordinatorFixture(Options(), stop) {}

  // Trains with one worker up to a version that is evaluated.
  void TrainTo(WorkerId worker, int64_t version) {
    for (int64_t v = coordinator->steps_done(); v < version; ++v) {
      REQUIRE(Ask(worker, v) == absl::StrCat("step ", v, " [0, 2)"));
    }
  }
};

TEST_CASE_METHOD(Evaluating,
                 "evaluations come at the interval and at the end, "
                 "never at version 0") {
  const WorkerId a = Join();
  const std::string chunks = ", chunks [0, 4)";
  TrainTo(a, 2);
  REQUIRE(Ask(a, 2) == "evaluation of 2" + chunks);
  REQUIRE_OK(Report(a, 2, 0, 4));
  TrainTo(a, 4);
  REQUIRE(Ask(a, 4) == "evaluation of 4" + chunks);
  REQUIRE_OK(Report(a, 4, 0, 4));
  TrainTo(a, 5);
  REQUIRE(Ask(a, 5) == "evaluation of 5" + chunks);
  REQUIRE_FALSE(coordinator->ended());
  REQUIRE_OK(Report(a, 5, 0, 4));
  REQUIRE(coordinator->ended());
  REQUIRE(Ask(a, 5) == "end STEPS");
  REQUIRE(coordinator->steps_done() == 5);
}

TEST_CASE_METHOD(Evaluating,
                 "an evaluation may be granted ahead, a step beyond "
                 "it not") {
  const WorkerId a = Join(), b = Join(), c = Join();
  REQUIRE(Ask(a, 0) == "step 0 [0, 1)");
  REQUIRE(Ask(b, 0) == "step 0 [1, 2)");
  REQUIRE(Ask(a, 1) == "step 1 [0, 1)");
  REQUIRE(Ask(b, 1) == "step 1 [1, 2)");
  REQUIRE(Ask(a, 1) == "evaluation of 2, chunks [0, 1)");
  REQUIRE(Ask(b, 1) == "evaluation of 2, chunks [1, 2)");
  REQUIRE(Ask(c, 2) == "evaluation of 2, chunks [2, 3)");
  REQUIRE_OK(Report(c, 2, 2, 3));
  REQUIRE(Ask(c, 2) == "evaluation of 2, chunks [3, 4)");
  REQUIRE_OK(Report(c, 2, 3, 4));
  // All chunks are out, two are not in: the job may end with them.
  REQUIRE(Ask(c, 2) == "none");
  REQUIRE_OK(Report(a, 2, 0, 1));
  REQUIRE(Ask(a, 2) == "none");
  REQUIRE_OK(Report(b, 2, 1, 2));
  REQUIRE(Ask(a, 2) == "step 2 [0, 1)");
}

TEST_CASE_METHOD(Evaluating, "a score proves that its version is complete") {
  const WorkerId a = Join(), b = Join();
  Ask(a, 0);
  Ask(b, 0);
  Ask(a, 1);
  Ask(b, 1);
  REQUIRE(Ask(a, 1) == "evaluation of 2, chunks [0, 2)");
  REQUIRE(coordinator->steps_done() == 1);
  REQUIRE_OK(Report(a, 2, 0, 2));
  REQUIRE(coordinator->steps_done() == 2);
  REQUIRE(Ask(a, 1) == "evaluation of 2, chunks [2, 3)");
}

TEST_CASE_METHOD(Evaluating,
                 "chunks that a worker comes back without are "
                 "free") {
  const WorkerId a = Join(), b = Join();
  Ask(a, 0);
  Ask(b, 0);
  Ask(a, 1);
  Ask(b, 1);
  REQUIRE(Ask(a, 2) == "evaluation of 2, chunks [0, 2)");
  REQUIRE_OK(Report(a, 2, 0, 1));
  // Chunk 1 was not scored.
  REQUIRE(Ask(a, 2) == "evaluation of 2, chunks [1, 2)");
  REQUIRE(Ask(b, 2) == "evaluation of 2, chunks [2, 4)");
  now += CoordinatorFixture::kLease * 0.6;
  REQUIRE_FALSE(Recalled(a));
  now += CoordinatorFixture::kLease * 0.6;
  REQUIRE_OK(Report(a, 2, 1, 2));
  REQUIRE(Ask(a, 2) == "evaluation of 2, chunks [2, 4)");
}

TEST_CASE_METHOD(Evaluating, "workers in an evaluation ahead are called back") {
  const WorkerId a = Join(), b = Join();
  Ask(a, 0);
  Ask(b, 0);
  REQUIRE(Ask(a, 1) == "step 1 [0, 1)");
  REQUIRE(Ask(b, 1) == "step 1 [1, 2)");
  REQUIRE(Ask(a, 1) == "evaluation of 2, chunks [0, 2)");
  coordinator->Leave(b, now);
  REQUIRE(Recalled(a));
  REQUIRE(Ask(a, {.have_version = 1, .gives_up_last = true}) ==
          "step 1 [1, 2)");
}

TEST_CASE_METHOD(Evaluating, "results are means over the test set") {
  const WorkerId a = Join();
  TrainTo(a, 2);
  Ask(a, 2);
  REQUIRE_OK(Report(a, 2, 2, 4, 7.0, 5));
  REQUIRE_OK(Report(a, 2, 0, 2, 3.5, 2));
  const auto status = Status();
  REQUIRE(status.evaluations_size() == 1);
  REQUIRE(status.evaluations(0).version() == 2);
  REQUIRE(status.evaluations(0).loss() == 21.0 / 35);
  REQUIRE(status.evaluations(0).accuracy() == 14.0 / 35);
}

TEST_CASE_METHOD(Evaluating, "repeated and late scores change nothing") {
  const WorkerId a = Join();
  TrainTo(a, 2);
  Ask(a, 2);
  REQUIRE_OK(Report(a, 2, 0, 2, 1));
  REQUIRE_OK(Report(a, 2, 0, 2, 9));
  REQUIRE_OK(Report(a, 2, 0, 4, 1));
  REQUIRE_OK(Report(a, 2, 0, 4, 9));
  // Of an evaluation to come.
  REQUIRE_OK(Report(a, 4, 0, 4, 9));
  REQUIRE(Status().evaluations_size() == 1);
  REQUIRE(Status().evaluations(0).loss() == 4.0 / 35);
  REQUIRE(coordinator->steps_done() == 2);
}

TEST_CASE_METHOD(Evaluating, "scores that cannot be right are refused") {
  const WorkerId a = Join();
  TrainTo(a, 2);
  Ask(a, 2);
  REQUIRE_ERROR(Report(a, 3, 0, 1), kInvalid, "version 3", "multiples of 2");
  REQUIRE_ERROR(Report(a, 0, 0, 1), kInvalid, "version 0");
  REQUIRE_ERROR(Report(a, -2, 0, 1), kInvalid, "version -2");
  REQUIRE_ERROR(Report(a, 6, 0, 1), kInvalid, "version 6");
  REQUIRE_ERROR(Report(a, 2, 0, 0), kInvalid, "0 scores", "[0, 4)");
  REQUIRE_ERROR(Report(a, 2, 0, 5), kInvalid, "5 scores");
  REQUIRE_ERROR(Report(a, 2, 3, 5), kInvalid, "from chunk 3");
  REQUIRE_ERROR(Report(a, 2, 4, 5), kInvalid, "from chunk 4");
  REQUIRE_ERROR(Report(a, 2, -1, 0), kInvalid, "from chunk -1");
  REQUIRE_ERROR(Report(a, 2, 0, 1, 1, 11), kInvalid, "chunk 0", "10 samples");
  REQUIRE_ERROR(Report(a, 2, 3, 4, 1, 6), kInvalid, "chunk 3", "5 samples");
  REQUIRE_ERROR(Report(a, 2, 0, 1, 1, -1), kInvalid, "-1");
  const double odd = GENERATE(std::numeric_limits<double>::quiet_NaN(),
                              std::numeric_limits<double>::infinity());
  REQUIRE_ERROR(Report(a, 2, 1, 2, odd), kInvalid, "chunk 1", "diverged");
  // Nothing of it counted.
  REQUIRE_OK(Report(a, 2, 0, 4, 1));
  REQUIRE(Status().evaluations(0).loss() == 4.0 / 35);
}

TEST_CASE("a target ends the job at the evaluation that reaches it") {
  v1::Stop stop;
  stop.set_target_loss(0.5f);
  Evaluating f(stop);
  const WorkerId a = f.Join(), b = f.Join();
  f.Ask(a, 0);
  f.Ask(b, 0);
  f.Ask(a, 1);
  f.Ask(b, 1);
  f.Ask(a, 2);
  REQUIRE_OK(f.Report(a, 2, 0, 4, 35 * 0.5 / 4));
  REQUIRE(f.coordinator->ended());
  REQUIRE(f.Status().end_reason() == v1::END_REASON_TARGET_LOSS);
  REQUIRE(f.coordinator->steps_done() == 2);
}

TEST_CASE("once a job has ended, everyone is told so") {
  v1::Stop stop;
  stop.set_target_loss(100);
  Evaluating f(stop);
  const WorkerId a = f.Join(), b = f.Join();
  f.Ask(a, 0);
  f.Ask(a, 0);
  f.Ask(a, 1);
  f.Ask(a, 1);
  REQUIRE_OK(f.Report(a, 2, 0, 4));
  REQUIRE(f.Ask(b) == "end TARGET_LOSS");
  REQUIRE(f.Recalled(a));
  // Also those whose lease ran out meanwhile.
  f.now += 3 * CoordinatorFixture::kLease;
  REQUIRE(f.Ask(b) == "end TARGET_LOSS");
  REQUIRE(f.Recalled(b));
  REQUIRE_OK(f.Report(b, 2, 0, 4));
  f.coordinator->Leave(b, f.now);
  f.coordinator->RequestStop(f.now);
  REQUIRE_ERROR(f.coordinator->Join("late", f.now),
                absl::StatusCode::kUnavailable, "END_REASON_TARGET_LOSS");
  REQUIRE(f.Status().end_reason() == v1::END_REASON_TARGET_LOSS);
}

}  // namespace
}  // namespace tessera
