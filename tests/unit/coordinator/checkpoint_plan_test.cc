// The plan by itself: when an attempt is ordered, and how it ends.

#include "server/coordinator/checkpoint_plan.h"

#include <catch2/catch.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/support/status.h"

namespace tessera {
namespace {

struct Plan {
  explicit Plan(int64_t every_steps = 0, double every_seconds = 0)
      : plan(Policy(every_steps, every_seconds), 2,
             [this] { return next_set_id++; }) {
    plan.Begin(now);
  }

  static v1::CheckpointPolicy Policy(int64_t every_steps,
                                     double every_seconds) {
    v1::CheckpointPolicy policy;
    policy.set_every_steps(every_steps);
    policy.set_every_seconds(every_seconds);
    return policy;
  }

  int64_t Ordered(const CheckpointPlan::Stand& stand) {
    plan.Consider(stand, now);
    return plan.capture().set_id() == 0 ? -1 : plan.capture().version();
  }

  // Of version 6, set 100: "r0" shard 0 is ready; "f0" its file is written;
  // "x0" never will be; "v" the version is reached; "t" files are taken; "m"
  // the manifest lasts; "n" it does not; "g" it is given up; "6", "5" whether
  // that step is held back.
  void Do(const std::string& event) {
    v1::AttendRequest request;
    if (event.size() > 1) request.set_shard(event[1] - '0');
    switch (event[0]) {
      case 'r':
        request.set_capture_ready(100);
        return plan.Hear(request, now);
      case 'f':
        request.mutable_capture_result()->set_set_id(100);
        request.mutable_capture_result()->mutable_file()->set_shard(
            request.shard());
        return plan.Hear(request, now);
      case 'x':
        request.mutable_capture_result()->set_set_id(100);
        request.mutable_capture_result()->set_failure("disk");
        return plan.Hear(request, now);
      case 'v':
        return plan.OnVersion(6, {.best_loss = 3}, now);
      case 't':
        taken = plan.TakeFiles().has_value();
        return;
      case 'm':
        done = plan.OnManifestWritten(100, absl::OkStatus(), 9, now);
        return;
      case 'n':
        done = plan.OnManifestWritten(100, absl::DataLossError("bits"), 9, now);
        return;
      default:
        return plan.GiveUp("so it is", now);
    }
  }

  // "holds back", "goes on", "taken", "done" or why it failed.
  std::string State() const {
    if (done) return "done";
    if (const auto outcome = plan.OutcomeOf(100)) {
      return std::string(outcome->status.message());
    }
    if (taken) return "taken";
    return plan.HoldsBack(5) ? "holds back" : "goes on";
  }

  absl::Time now = absl::FromUnixSeconds(1000);
  uint64_t next_set_id = 100;
  CheckpointPlan plan;
  bool taken = false;
  bool done = false;
};

TEST_CASE("how an attempt comes to its end") {
  const auto [events, state] = GENERATE(table<std::string, std::string>({
      {"", "holds back"},
      {"r0", "holds back"},
      {"r0 r0", "holds back"},
      {"r0 r1", "goes on"},
      {"f0 r1", "goes on"},
      {"r0 r1 t", "goes on"},
      {"r0 r1 v t", "goes on"},
      {"r0 r1 v f0 t", "goes on"},
      {"r0 r1 f0 f1 t", "goes on"},
      {"r0 r1 f0 f1 m", "goes on"},
      {"r0 r1 v f0 f1 t", "taken"},
      {"r0 r1 f0 v f1 t", "taken"},
      {"r0 r1 f0 f1 v t", "taken"},
      {"f0 f1 v t", "taken"},
      {"r0 r1 f0 f1 v t m", "done"},
      {"r0 r1 f0 f1 v t n", "version 6: bits"},
      {"r0 r1 f0 f1 v t n m", "version 6: bits"},
      {"x0", "version 6: shard 0: disk"},
      {"r0 x1 f0 f1 v", "version 6: shard 1: disk"},
      {"r0 r1 v f0 x1", "version 6: shard 1: disk"},
      {"g", "version 6: so it is"},
      {"r0 r1 v f0 f1 t g", "version 6: so it is"},
      {"r0 r1 v f0 f1 t g m", "version 6: so it is"},
  }));
  CAPTURE(events);
  Plan f(6);
  REQUIRE(f.Ordered({.version = 2, .newest_possible = 3, .last_version = 40}) ==
          6);
  for (const auto event : absl::StrSplit(events, ' ', absl::SkipWhitespace())) {
    f.Do(std::string(event));
  }
  REQUIRE(f.State() == state);
}

TEST_CASE("which version is ordered when") {
  struct Case {
    int64_t every_steps;
    double every_seconds;
    int64_t newest_possible, last_version;
    int64_t ordered;
  };
  const auto c = GENERATE(values<Case>({
      // Multiples, a few steps ahead.
      {10, 0, 0, 40, -1},
      {10, 0, 5, 40, -1},
      {10, 0, 6, 40, 10},
      {10, 0, 9, 40, 10},
      {10, 0, 10, 40, -1},
      {10, 0, 16, 40, 20},
      {1, 0, 0, 40, 1},
      {2, 0, 3, 40, 4},
      // The last version has one of its own.
      {10, 0, 36, 40, 40},
      {10, 0, 36, 39, -1},
      {10, 0, 40, 40, -1},
      // By time: 30 seconds are over.
      {0, 30, 7, 40, 8},
      {0, 31, 7, 40, -1},
      {0, 30, 40, 40, -1},
      {100, 30, 7, 400, 8},
      {10, 31, 7, 400, 10},
      {0, 0, 7, 40, -1},
  }));
  CAPTURE(c.every_steps, c.every_seconds, c.newest_possible, c.last_version);
  Plan f(c.every_steps, c.every_seconds);
  f.now += absl::Seconds(30);
  REQUIRE(f.Ordered({.version = c.newest_possible,
                     .newest_possible = c.newest_possible,
                     .last_version = c.last_version}) == c.ordered);
}

TEST_CASE("what is ordered at the end of a job") {
  const CheckpointPlan::Stand end{.version = 9,
                                  .newest_possible = 9,
                                  .last_version = 9,
                                  .ended = true,
                                  .restore_version = 6};
  Plan f(1000);
  SECTION("its last version, once") {
    REQUIRE(f.Ordered(end) == 9);
    f.Do("x0");
    REQUIRE(f.Ordered(end) == -1);
  }
  SECTION("nothing, where a set has it") {
    CheckpointPlan::Stand kept = end;
    kept.restore_version = 9;
    REQUIRE(f.Ordered(kept) == -1);
  }
  SECTION("nothing, in the middle of a step") {
    CheckpointPlan::Stand within = end;
    within.newest_possible = 10;
    REQUIRE(f.Ordered(within) == -1);
  }
  SECTION("nothing without its servers") {
    CheckpointPlan::Stand alone = end;
    alone.servers_there = false;
    REQUIRE(f.Ordered(alone) == -1);
    REQUIRE(f.Ordered(end) == 9);
  }
  SECTION("again, where it has run on to another end") {
    REQUIRE(f.Ordered(end) == 9);
    f.Do("x0");
    f.plan.Begin(f.now);
    REQUIRE(f.Ordered(end) == 9);
  }
}

TEST_CASE("who asked is led from one attempt to the next") {
  Plan f;
  CheckpointPlan::Stand stand{
      .version = 3, .newest_possible = 4, .last_version = 40};
  const uint64_t first = f.plan.Request(stand);
  REQUIRE(f.Ordered(stand) == 5);
  // The job ends before version 5, and again before that of the next.
  stand.last_version = 4;
  REQUIRE(f.Ordered(stand) == -1);
  REQUIRE_FALSE(f.plan.OutcomeOf(first).has_value());
  stand.last_version = 40;
  REQUIRE(f.Ordered(stand) == 5);
  REQUIRE(f.plan.capture().set_id() != first);
  stand.last_version = 4;
  REQUIRE(f.Ordered(stand) == -1);
  stand.last_version = 40;
  REQUIRE(f.Ordered(stand) == 5);
  REQUIRE_FALSE(f.plan.OutcomeOf(first).has_value());
  f.plan.GiveUp("why not", f.now);
  REQUIRE(f.plan.OutcomeOf(first)->set_id == f.next_set_id - 1);
  REQUIRE_ERROR(f.plan.OutcomeOf(first)->status, absl::StatusCode::kAborted,
                "why not");
}

}  // namespace
}  // namespace tessera
