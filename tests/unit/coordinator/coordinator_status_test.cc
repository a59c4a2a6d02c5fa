// What people are told about a job.

#include <catch2/catch.hpp>

#include "tests/unit/coordinator/coordinator_fixture.h"

namespace tessera {
namespace {

struct Watched : CoordinatorFixture {
  Watched()
      : CoordinatorFixture(
            {.microbatches = 8,
             .steps = 100,
             .test_examples = 30,
             .evaluation = "every_steps: 2 chunk_examples: 10"}) {}

  // "1: step 0 [0, 4) for 3000" for each entry of `waiting`.
  std::vector<std::string> Waiting() const {
    std::vector<std::string> entries;
    const v1::GetStatusResponse status = Status();
    for (const v1::Waiting& w : status.waiting()) {
      entries.push_back(
          absl::StrCat(w.worker_id(), ": ", w.work(), " for ", w.waiting_ms()));
    }
    return entries;
  }
};

using Entries = std::vector<std::string>;

TEST_CASE_METHOD(Watched, "a status names the job and where it stands") {
  const auto status = Status();
  REQUIRE(status.job_name() == "test");
  REQUIRE(status.job_fingerprint() == job.fingerprint());
  REQUIRE(status.phase() == v1::PHASE_TRAINING);
  REQUIRE(status.steps_done() == 0);
  REQUIRE(status.steps_total() == 100);
  REQUIRE(status.steps_per_epoch() == 4096 / 8);
  REQUIRE(status.shard_count() == 2);
  REQUIRE(status.end_reason() == v1::END_REASON_UNSPECIFIED);
}

TEST_CASE_METHOD(Watched, "the phase is the current one's, not the one ahead") {
  const WorkerId a = Join();
  Ask(a, 0);
  Ask(a, 1);
  Ask(a, 1);
  REQUIRE(Status().phase() == v1::PHASE_TRAINING);
  Ask(a, 2);
  REQUIRE(Status().phase() == v1::PHASE_EVALUATING);
  coordinator->Leave(a, now);
  coordinator->RequestStop(now);
  REQUIRE(Status().phase() == v1::PHASE_ENDED);
  REQUIRE(Status().end_reason() == v1::END_REASON_STOPPED);
  REQUIRE(Status().waiting().empty());
}

TEST_CASE_METHOD(Watched,
                 "workers: what they hold, have done, and when last "
                 "heard") {
  const WorkerId a = Join("left"), b = Join("right");
  Ask(a, {.have_version = 0, .microbatch_seconds = 0.5});
  Ask(b, 0);
  Ask(a, 0);
  now += absl::Seconds(2);
  REQUIRE_FALSE(Recalled(b));
  auto status = Status();
  REQUIRE(status.workers_size() == 2);
  REQUIRE(status.workers(0).worker_id() == a.value());
  REQUIRE(status.workers(0).label() == "left");
  REQUIRE(status.workers(0).holds() == "step 0 [0, 4), step 1 [0, 4)");
  REQUIRE(status.workers(0).microbatches_per_second() == 2);
  REQUIRE(status.workers(0).microbatches_done() == 0);
  REQUIRE(status.workers(0).silent_ms() == 2000);
  REQUIRE(status.workers(1).holds() == "step 0 [4, 8)");
  REQUIRE(status.workers(1).microbatches_per_second() == 0);
  REQUIRE(status.workers(1).silent_ms() == 0);
  Ask(a, 1);
  status = Status();
  REQUIRE(status.workers(0).microbatches_done() == 4);
  REQUIRE(status.workers(1).microbatches_done() == 4);
  REQUIRE(status.workers(1).holds() == "");
}

TEST_CASE_METHOD(Watched, "evaluation is held in chunks") {
  const WorkerId a = Join();
  Ask(a, 0);
  Ask(a, 1);
  Ask(a, 2);
  REQUIRE(Status().workers(0).holds() ==
          "evaluation of version 2, chunks [0, 3)");
}

TEST_CASE_METHOD(Watched, "nothing is waited for while all is as expected") {
  const WorkerId a = Join();
  REQUIRE(Ask(a, {.have_version = 0, .microbatch_seconds = 1}) ==
          "step 0 [0, 8)");
  REQUIRE(Waiting().empty());
  now += absl::Seconds(16);  // Twice the eight seconds expected.
  REQUIRE(Waiting().empty());
  now += absl::Seconds(2);
  REQUIRE(Waiting() == Entries{"1: step 0 [0, 8) for 18000"});
}

TEST_CASE_METHOD(Watched, "what a worker holds ahead counts from its turn") {
  const WorkerId a = Join();
  const WorkReport report{.have_version = 0, .microbatch_seconds = 0.1};
  Ask(a, report);
  Ask(a, report);
  now += absl::Seconds(5);
  REQUIRE(Waiting() == Entries{"1: step 0 [0, 8) for 5000"});
  Ask(a, 1);
  REQUIRE(Waiting().empty());
  now += absl::Seconds(4);
  REQUIRE(Waiting() == Entries{"1: step 1 [0, 8) for 4000"});
}

TEST_CASE_METHOD(Watched, "before any speed is known, a lease is long enough") {
  const WorkerId a = Join(), b = Join();
  REQUIRE(Ask(a, 0) == "step 0 [0, 4)");
  REQUIRE_FALSE(Recalled(b));
  now += kLease - absl::Seconds(1);
  REQUIRE(Waiting().empty());
  now += absl::Seconds(1);
  // Free, with a worker that does not come for it: nobody's.
  REQUIRE(Waiting() ==
          Entries{"1: step 0 [0, 4) for 10000", "0: step 0 [4, 8) for 10000"});
}

TEST_CASE_METHOD(Watched, "without workers, a job waits for one at once") {
  coordinator->Tick(now);
  REQUIRE(Waiting() == Entries{"0: step 0 [0, 8) for 0"});
  now += absl::Seconds(3);
  REQUIRE(Waiting() == Entries{"0: step 0 [0, 8) for 3000"});
  const WorkerId a = Join();
  Ask(a, 0);
  REQUIRE(Waiting().empty());
  coordinator->Leave(a, now);
  now += absl::Seconds(1);
  REQUIRE(Waiting() == Entries{"0: step 0 [0, 8) for 1000"});
}

TEST_CASE_METHOD(Watched, "a slow worker is named, a quick one is not") {
  const WorkerId a = Join("quick"), b = Join("slow");
  Ask(a, {.have_version = 0, .microbatch_seconds = 0.1});
  Ask(b, {.have_version = 0, .microbatch_seconds = 0.1});
  Ask(a, 0);
  now += absl::Seconds(3);
  const auto status = Status();
  // a holds its half too: it is done when the step is.
  REQUIRE(status.waiting_size() == 2);
  REQUIRE(status.waiting(1).label() == "slow");
}

TEST_CASE_METHOD(Watched, "chunks that are in are not waited for") {
  const WorkerId a = Join(), b = Join();
  const WorkReport at_0{.have_version = 0, .microbatch_seconds = 0.1};
  Ask(a, at_0);
  Ask(b, at_0);
  Ask(a, 1);
  Ask(b, 1);
  REQUIRE(Ask(a, 2) == "evaluation of 2, chunks [0, 1)");
  REQUIRE(Ask(b, 2) == "evaluation of 2, chunks [1, 2)");
  REQUIRE_OK(Report(a, 2, 0, 1));
  REQUIRE(Ask(a, 2) == "evaluation of 2, chunks [2, 3)");
  now += absl::Seconds(20) - kLease;
  REQUIRE(Waiting() ==
          Entries{"2: evaluation of version 2, chunks [1, 2) for 10000",
                  "1: evaluation of version 2, chunks [2, 3) for 10000"});
}

TEST_CASE_METHOD(Watched, "a step's loss is recorded once, early or late") {
  const WorkerId a = Join();
  Ask(a, 0);
  Ask(a, 0);
  coordinator->OnStepApplied(0, 0, 0.5, now);  // Not proven yet.
  coordinator->OnStepApplied(0, 0, 0.7, now);
  Ask(a, 2);
  coordinator->OnStepApplied(0, 1, 0.25, now);  // Proven already.
  const auto status = Status();
  REQUIRE(status.steps_size() == 2);
  REQUIRE(status.steps(0).step() == 0);
  REQUIRE(status.steps(0).loss() == 0.5);
  REQUIRE(status.steps(1).loss() == 0.25);
}

}  // namespace
}  // namespace tessera
