// Checkpoints that are asked for, and the one of the end.

#include <catch2/catch.hpp>

#include "absl/strings/match.h"
#include "tests/unit/coordinator/checkpointing.h"

namespace tessera {
namespace {

TEST_CASE_METHOD(OnDemand, "a checkpoint can be asked for") {
  TrainTo(3);
  const uint64_t set_id = Request();
  REQUIRE(Capture() == absl::StrCat("version 5 set ", set_id));
  REQUIRE(Outcome(set_id) == "pending");
  // Who asks before it is reached gets the same.
  REQUIRE(Request() == set_id);
  TrainTo(5);
  const uint64_t next = Request();
  REQUIRE(next != set_id);
  REQUIRE(Outcome(next) == "pending");
  Write();
  REQUIRE(Outcome(set_id) == absl::StrCat("version 5 set ", set_id));
  REQUIRE(coordinator->OutcomeOf(set_id)->bytes == 201);
  REQUIRE(Capture() == absl::StrCat("version 7 set ", next));
  REQUIRE(absl::StartsWith(Outcome(12345), "NOT_FOUND"));
  REQUIRE(absl::StartsWith(Outcome(0), "NOT_FOUND"));
}

TEST_CASE_METHOD(OnDemand, "who asked is told when it fails") {
  TrainTo(3);
  const uint64_t set_id = Request();
  TrainTo(5);
  TellFailure(0, set_id, "");
  REQUIRE(Outcome(set_id) == "ABORTED: version 5: shard 0: no reason given");
}

TEST_CASE_METHOD(OnDemand, "asking needs servers, and outlives going back") {
  TrainTo(3);
  const uint64_t first = Request();
  TrainTo(5);
  const uint64_t set_id = Request();
  Replace(0);
  Say(0);
  REQUIRE_ERROR(coordinator->RequestCheckpoint(now),
                absl::StatusCode::kUnavailable);
  REQUIRE(absl::StartsWith(Outcome(first), "ABORTED"));
  REQUIRE(Outcome(set_id) == "pending");
  ObeyAll();
  REQUIRE(Capture() == absl::StrCat("version 1 set ", set_id));
}

TEST_CASE_METHOD(OnDemand, "the end is always kept") {
  TrainTo(40);
  REQUIRE(Capture() == "none");
  ReportAll(worker, 40, 1);
  REQUIRE(coordinator->ended());
  REQUIRE(Capture() == "version 40 set 1000");
  REQUIRE(Status().phase() == v1::PHASE_ENDED);
  REQUIRE(Checkpoint().pending_version() == 40);
  Obey(0);
  Obey(1);
  const v1::CheckpointManifest manifest = Write();
  // As of before its own evaluation.
  v1::CoordinatorState state;
  REQUIRE(state.ParseFromString(manifest.coordinator_state()));
  REQUIRE(state.steps_size() == 40);
  REQUIRE(state.evaluations_size() == 3);
  REQUIRE(Capture() == "none");
  REQUIRE(Outcome(Request()) == "version 40 set 1000");
}

TEST_CASE_METHOD(OnDemand, "a last one that fails can be asked for again") {
  TrainTo(40);
  ReportAll(worker, 40, 1);
  const uint64_t set_id = CaptureSet();
  REQUIRE(Request() == set_id);
  TellFailure(1, set_id, "full");
  REQUIRE(Capture() == "none");
  const uint64_t again = Request();
  REQUIRE(Capture() == absl::StrCat("version 40 set ", again));
}

TEST_CASE("no last one is made where a regular one is") {
  Checkpointing f(Every(20));
  f.TrainTo(20);
  f.Write();
  f.TrainTo(40);
  REQUIRE(f.Capture() == "version 40 set 1001");
  f.ReportAll(f.worker, 40, 1);
  REQUIRE(f.coordinator->ended());
  REQUIRE(f.Capture() == "version 40 set 1001");
  f.Write();
  REQUIRE(f.Capture() == "none");
  REQUIRE(f.Checkpoint().written() == 2);
}

TEST_CASE_METHOD(Checkpointing, "one being written at the end comes first") {
  TrainTo(40);
  ReportAll(worker, 40, 1);
  REQUIRE(Capture() == "version 6 set 1000");
  Write();
  REQUIRE(Capture() == "version 40 set 1001");
}

TEST_CASE_METHOD(Checkpointing,
                 "one that the job does not get to is put off to the end") {
  const bool asked = GENERATE(true, false);
  TrainTo(2);
  REQUIRE(Capture() == "version 6 set 1000");
  if (asked) REQUIRE(Request() == 1000);
  coordinator->RequestStop(now);
  REQUIRE(Capture() == "none");
  REQUIRE(Checkpoint().failed() == 0);
  REQUIRE(AskAnew(worker, 3) == "evaluation of 3, chunks [0, 1)");
  if (asked) REQUIRE(Outcome(1000) == "pending");
  ReportAll(worker, 3, 1);
  REQUIRE(Capture() == "version 3 set 1001");
  Obey(0);
  Obey(1);
  Write();
  if (asked) REQUIRE(Outcome(1000) == "version 3 set 1001");
}

TEST_CASE_METHOD(OnDemand, "asked for too late, it is the last one") {
  TrainTo(39);
  const uint64_t set_id = Request();
  REQUIRE(Capture() == "none");
  TrainTo(40);
  ReportAll(worker, 40, 1);
  REQUIRE(Capture() == absl::StrCat("version 40 set ", set_id));
}

TEST_CASE_METHOD(OnDemand, "a job that ends within a step has no last one") {
  TrainTo(3);
  const uint64_t set_id = Request();
  coordinator->RequestStop(now);
  coordinator->Leave(worker, now);
  REQUIRE(coordinator->ended());
  REQUIRE(Capture() == "none");
  REQUIRE(Outcome(set_id) == "ABORTED: the job ended in the middle of step 3");
}

}  // namespace
}  // namespace tessera
