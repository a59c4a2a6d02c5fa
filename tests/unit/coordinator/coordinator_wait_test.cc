// Waits that last too long, and what a job does then.

#include <algorithm>
#include <catch2/catch.hpp>

#include "absl/strings/match.h"
#include "tests/unit/coordinator/servers_fixture.h"

namespace tessera {
namespace {

using Entries = std::vector<std::string>;

const TestJobOptions kJob{.microbatches = 2,
                          .steps = 40,
                          .test_examples = 20,
                          .evaluation = "every_steps: 10 chunk_examples: 10"};

v1::Operation Policy(double report_after, double stop_after) {
  v1::Operation operation;
  operation.mutable_checkpoint()->set_every_steps(6);
  operation.mutable_wait()->set_report_after_seconds(report_after);
  operation.mutable_wait()->set_stop_after_seconds(stop_after);
  return operation;
}

// Reports after 5 s, ends after 60.
struct Impatient : ServersFixture {
  Impatient() : ServersFixture(kJob, Policy(5, 60)) {}

  // Time goes by, with everyone heard that `who` names.
  void Pass(absl::Duration time, const std::vector<int>& shards,
            const std::vector<WorkerId>& workers = {}) {
    const absl::Time end = now + time;
    while (now < end) {
      now = std::min(end, now + absl::Seconds(1));
      for (const int shard : shards) Say(shard);
      for (const WorkerId worker : workers) {
        coordinator->Renew(worker, 0, now).IgnoreError();
      }
      coordinator->Tick(now);
    }
  }
  bool WaitedTooLong() const {
    return Status().end_reason() == v1::END_REASON_WAITED_TOO_LONG;
  }
};

TEST_CASE_METHOD(Impatient, "a server that never comes ends the job") {
  coordinator->Tick(now);
  Pass(absl::Seconds(60), {0});
  REQUIRE_FALSE(coordinator->ended());
  REQUIRE(ServerWaits() == Entries{"shard 1 to come for 60000"});
  Pass(absl::Seconds(1), {0});
  REQUIRE(WaitedTooLong());
  REQUIRE(Status().phase() == v1::PHASE_ENDED);
  REQUIRE_FALSE(coordinator->Join("late", now).ok());
}

TEST_CASE_METHOD(Impatient, "so does one that does not come back") {
  ObeyAll();
  const WorkerId a = Join();
  Ask(a, At(0));
  Pass(absl::Seconds(30), {0, 1}, {a});
  TrainTo(a, 1);
  Pass(absl::Seconds(50), {0}, {a});
  TrainTo(a, 2);
  Pass(absl::Seconds(10), {0}, {a});
  REQUIRE_FALSE(coordinator->ended());
  Pass(absl::Seconds(1), {0}, {a});
  REQUIRE(WaitedTooLong());
  REQUIRE(Ask(a, At(2)) == "end WAITED_TOO_LONG");
  // Half of the servers cannot make a checkpoint.
  REQUIRE(Capture() == "none");
}

TEST_CASE_METHOD(Impatient, "the call that ends a silence comes in time") {
  ObeyAll();
  const WorkerId a = Join();
  Pass(absl::Seconds(55), {0}, {a});
  TrainTo(a, 1);
  // Nobody looked at the clock in the meantime.
  now += absl::Seconds(9);
  Say(1);
  REQUIRE_FALSE(coordinator->ended());
}

TEST_CASE_METHOD(Impatient, "one that does not load its shard ends it") {
  Say(0);
  Say(1);
  Obey(0);
  Pass(absl::Seconds(60), {0, 1});
  REQUIRE_FALSE(coordinator->ended());
  Pass(absl::Seconds(1), {0, 1});
  REQUIRE(WaitedTooLong());
  REQUIRE(ServerWaits() == Entries{"shard 1 to load version 0 for 61000"});
}

TEST_CASE_METHOD(Impatient, "without workers the job ends, and is kept") {
  ObeyAll();
  const WorkerId a = Join();
  TrainTo(a, 10);
  REQUIRE(Status().phase() == v1::PHASE_EVALUATING);
  coordinator->Leave(a, now);
  CaptureSet();
  Write();  // Of version 6.
  Pass(absl::Seconds(60), {0, 1});
  REQUIRE_FALSE(coordinator->ended());
  Pass(absl::Seconds(1), {0, 1});
  REQUIRE(WaitedTooLong());
  // All blocks are at version 10.
  REQUIRE(absl::StartsWith(Capture(), "version 10 set"));
  Obey(0);
  Obey(1);
  REQUIRE(Write().version() == 10);
}

TEST_CASE_METHOD(Impatient, "a step that nobody completes ends the job") {
  ObeyAll();
  const WorkerId a = Join();
  TrainTo(a, 3);
  Pass(absl::Seconds(61), {0, 1}, {a});
  REQUIRE(WaitedTooLong());
  // Some blocks may be at 3, others at 4: the newest complete set remains.
  REQUIRE(Capture() == "none");
}

TEST_CASE_METHOD(Impatient, "an evaluation counts from its last chunk") {
  ObeyAll();
  const WorkerId a = Join();
  TrainTo(a, 10);
  Pass(absl::Seconds(50), {0, 1}, {a});
  const std::vector<ChunkScore> scores(1);
  REQUIRE_OK(coordinator->ReportEvaluation(a, 1, 10, 0, scores, now));
  Pass(absl::Seconds(60), {0, 1}, {a});
  REQUIRE_FALSE(coordinator->ended());
  Pass(absl::Seconds(1), {0, 1}, {a});
  REQUIRE(WaitedTooLong());
}

TEST_CASE_METHOD(Impatient, "going back starts the wait for work anew") {
  ObeyAll();
  const WorkerId a = Join();
  Pass(absl::Seconds(50), {0, 1}, {a});
  Replace(1);
  ObeyAll();
  Pass(absl::Seconds(50), {0, 1}, {a});
  REQUIRE_FALSE(coordinator->ended());
}

TEST_CASE_METHOD(Impatient, "who went home is not called back by a restart") {
  coordinator->Tick(now);
  Pass(absl::Seconds(61), {0});
  REQUIRE(WaitedTooLong());
  ObeyAll();
  REQUIRE(WaitedTooLong());
}

TEST_CASE_METHOD(Impatient, "not even one to an earlier version") {
  ObeyAll();
  const WorkerId a = Join();
  TrainTo(a, 7);
  Write();  // Of version 6.
  Pass(absl::Seconds(61), {0, 1}, {a});
  REQUIRE(WaitedTooLong());
  Replace(0);
  ObeyAll();
  REQUIRE(coordinator->generation() == 2);
  REQUIRE(coordinator->steps_done() == 6);
  REQUIRE(WaitedTooLong());
}

TEST_CASE_METHOD(Impatient, "a capture that is waited for is named") {
  ObeyAll();
  const WorkerId a = Join();
  TrainTo(a, 2);
  REQUIRE(CaptureSet() != 0);
  Obey(0);
  Pass(absl::Seconds(5), {0, 1}, {a});
  REQUIRE(ServerWaits() ==
          Entries{"shard 1 to be ready for the checkpoint of version 6 for "
                  "5000"});
  Obey(1);
  REQUIRE(ServerWaits().empty());
  TrainTo(a, 6);
  TellFile(1, 1000);
  Pass(absl::Seconds(5), {0, 1}, {a});
  REQUIRE(ServerWaits() ==
          Entries{"shard 0 to write its part of the checkpoint of version 6 "
                  "for 5000"});
}

TEST_CASE_METHOD(Impatient, "a file that is not written costs the checkpoint") {
  ObeyAll();
  const WorkerId a = Join();
  TrainTo(a, 6);
  TellFile(1, 1000);
  for (int64_t version = 7; version <= 13; ++version) {
    Pass(absl::Seconds(9), {0, 1}, {a});
    TrainTo(a, version);
  }
  REQUIRE_FALSE(coordinator->ended());
  REQUIRE(Status().checkpoint().failed() == 1);
  REQUIRE(Status().checkpoint().last_failure() ==
          "version 6: waited too long for shard 0 to write its part of the "
          "checkpoint of version 6");
}

TEST_CASE("without a limit a job waits for ever, and says so") {
  ServersFixture f(kJob, Policy(5, 0));
  f.coordinator->Tick(f.now);
  f.Say(0);
  f.now += absl::Hours(1000);
  f.coordinator->Tick(f.now);
  REQUIRE_FALSE(f.coordinator->ended());
  REQUIRE(f.ServerWaits() == Entries{"shard 0 to come back for 3600000000",
                                     "shard 1 to come for 3600000000"});
}

TEST_CASE("waits of servers are shorter than those that are reported") {
  ServersFixture unlimited(kJob, Policy(8, 0));
  REQUIRE(unlimited.coordinator->MaxAttendWait() == absl::Seconds(4));
  ServersFixture limited(kJob, Policy(8, 2));
  REQUIRE(limited.coordinator->MaxAttendWait() == absl::Seconds(1));
}

TEST_CASE("workers are waited for where servers do not attend, too") {
  CoordinatorFixture f(kJob, {}, Policy(5, 60));
  f.coordinator->Tick(f.now);
  f.now += absl::Seconds(60);
  f.coordinator->Tick(f.now);
  REQUIRE_FALSE(f.coordinator->ended());
  f.now += absl::Seconds(1);
  f.coordinator->Tick(f.now);
  REQUIRE(f.Status().end_reason() == v1::END_REASON_WAITED_TOO_LONG);
}

}  // namespace
}  // namespace tessera
