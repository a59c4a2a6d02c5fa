#include "worker/train/lease_keeper.h"

#include <atomic>
#include <catch2/catch.hpp>

#include "absl/synchronization/notification.h"
#include "tests/support/status.h"
#include "tests/support/test_job.h"
#include "tests/unit/train/scripted_coordinator.h"

namespace tessera {
namespace {

using Code = absl::StatusCode;

constexpr absl::Duration kLease = absl::Milliseconds(3);

struct Bench {
  Bench() : board(MakeTestPlan(MakeTestJob(), 1)) {}

  // What whoever waits for a block is told.
  absl::Status AwaitBlock() { return board.WaitFor({0, 1}, 0); }

  BlockBoard board;
  CoordinatorScript script;
  ScriptedCoordinator coordinator{script};
};

TEST_CASE("a recall ends the pass, and renewals go on") {
  Bench bench;
  absl::Notification renewed_again;
  int recalls = 0;
  bench.script.renew = [&](const v1::RenewRequest& request) {
    v1::RenewResponse response;
    response.set_recall(request.worker_id() == 7 && request.generation() == 4);
    if (response.recall() && ++recalls == 2) renewed_again.Notify();
    return response;
  };
  LeaseKeeper keeper(bench.coordinator, WorkerId(7), kLease, bench.board);
  keeper.SetGeneration(4);
  REQUIRE_ERROR(bench.AwaitBlock(), Code::kAborted);
  renewed_again.WaitForNotification();
}

TEST_CASE("a membership that is lost ends the pass, and the renewals") {
  Bench bench;
  std::atomic<int> calls = 0;
  bench.script.renew = [&](const auto&) {
    ++calls;
    return absl::NotFoundError("no member");
  };
  {
    const LeaseKeeper keeper(bench.coordinator, WorkerId(7), kLease,
                             bench.board);
    REQUIRE_ERROR(bench.AwaitBlock(), Code::kNotFound, "no member");
  }
  REQUIRE(calls == 1);
}

TEST_CASE("a keeper that goes waits for no coordinator, and says nothing") {
  Bench bench;
  absl::Notification asked;
  absl::Notification cancelled;
  // As long as the coordinator is out of reach.
  bench.script.renew = [&](const auto&) {
    asked.Notify();
    cancelled.WaitForNotification();
    return absl::CancelledError("by the keeper");
  };
  bench.script.cancel = [&] { cancelled.Notify(); };
  {
    const LeaseKeeper keeper(bench.coordinator, WorkerId(7), kLease,
                             bench.board);
    asked.WaitForNotification();
  }
  REQUIRE(*bench.board.Begin(0, 0));
  bench.board.Arrived(0, 0);
  REQUIRE_OK(bench.AwaitBlock());
}

}  // namespace
}  // namespace tessera
