#include "server/service/agent_plan.h"

#include <catch2/catch.hpp>
#include <string>
#include <variant>

namespace tessera {
namespace {

constexpr uint64_t kSet = 0xabc;

v1::AttendResponse Orders(uint64_t number, int64_t generation,
                          int64_t version = 0, uint64_t set_id = 0) {
  v1::AttendResponse orders;
  orders.set_orders(number);
  orders.set_generation(generation);
  orders.mutable_restore()->set_version(version);
  orders.mutable_restore()->set_set_id(set_id);
  return orders;
}

v1::AttendResponse WithCapture(v1::AttendResponse orders, int64_t version,
                               uint64_t set_id) {
  orders.mutable_capture()->set_version(version);
  orders.mutable_capture()->set_set_id(set_id);
  return orders;
}

AgentPlan NewPlan() {
  return AgentPlan({.job_fingerprint = 7,
                    .shard = 1,
                    .shard_count = 3,
                    .incarnation = 99,
                    .address = "host:1"});
}

bool Idle(const AgentPlan& plan) {
  return std::holds_alternative<NothingToDo>(plan.Next());
}

template <typename Action>
Action Expect(const AgentPlan& plan) {
  const AgentAction action = plan.Next();
  REQUIRE(std::holds_alternative<Action>(action));
  return std::get<Action>(action);
}

void Restore(AgentPlan& plan, const absl::Status& status = absl::OkStatus()) {
  const auto order = Expect<RestoreOrder>(plan);
  plan.OnRestoreBegun(order);
  plan.OnRestored(order, status);
}

// Of a shard that serves generation 1 and is told to capture version 5.
AgentPlan CapturingPlan() {
  AgentPlan plan = NewPlan();
  plan.Take(Orders(1, 1));
  Restore(plan);
  plan.Take(WithCapture(Orders(2, 1), 5, kSet));
  const auto order = Expect<CaptureOrder>(plan);
  REQUIRE(order.generation == 1);
  REQUIRE(order.version == 5);
  REQUIRE(order.set_id == kSet);
  plan.OnCaptureBegun(order);
  REQUIRE(Idle(plan));
  return plan;
}

TEST_CASE("a shard says who it is, and nothing more before it has served") {
  const AgentPlan plan = NewPlan();
  REQUIRE(Idle(plan));
  const v1::AttendRequest request = plan.Request(2000);
  REQUIRE(request.job_fingerprint() == 7);
  REQUIRE(request.shard() == 1);
  REQUIRE(request.shard_count() == 3);
  REQUIRE(request.incarnation() == 99);
  REQUIRE(request.address() == "host:1");
  REQUIRE(request.wait_ms() == 2000);
  REQUIRE(request.generation() == 0);
  REQUIRE(request.orders_seen() == 0);
  REQUIRE_FALSE(request.has_restore_failure());
  REQUIRE_FALSE(request.has_capture_result());
}

TEST_CASE("a generation is taken up once, and reported") {
  AgentPlan plan = NewPlan();
  plan.Take(Orders(1, 0));
  REQUIRE(Idle(plan));
  plan.Take(Orders(2, 3, 120, kSet));
  const auto order = Expect<RestoreOrder>(plan);
  REQUIRE(order.generation == 3);
  REQUIRE(order.version == 120);
  REQUIRE(order.set_id == kSet);
  const int64_t before = plan.revision();
  plan.OnRestoreBegun(order);
  REQUIRE(Idle(plan));
  REQUIRE(plan.Wants(order));
  REQUIRE(plan.Request(0).generation() == 0);
  plan.OnRestored(order, absl::OkStatus());
  REQUIRE(plan.revision() > before);
  REQUIRE(plan.Request(0).generation() == 3);
  REQUIRE(plan.Request(0).orders_seen() == 2);
  REQUIRE(Idle(plan));
  plan.Take(Orders(2, 3, 120, kSet));
  REQUIRE(Idle(plan));
  // From a coordinator that does not know of this shard yet.
  plan.Take(Orders(1, 2));
  REQUIRE(Idle(plan));
}

TEST_CASE("a restore that fails is reported, and tried again in the next") {
  AgentPlan plan = NewPlan();
  plan.Take(Orders(1, 3, 120, kSet));
  Restore(plan, absl::DataLossError("a bit flipped"));
  REQUIRE(Idle(plan));
  const v1::AttendRequest request = plan.Request(0);
  REQUIRE(request.generation() == 0);
  REQUIRE(request.restore_failure().generation() == 3);
  REQUIRE(request.restore_failure().set_id() == kSet);
  REQUIRE(request.restore_failure().code() ==
          static_cast<int>(absl::StatusCode::kDataLoss));
  REQUIRE(request.restore_failure().message() == "a bit flipped");
  plan.Take(Orders(2, 4, 80, kSet + 1));
  Restore(plan);
  REQUIRE(plan.Request(0).generation() == 4);
  REQUIRE_FALSE(plan.Request(0).has_restore_failure());
}

TEST_CASE("newer orders make a restore under way unwanted") {
  AgentPlan plan = NewPlan();
  plan.Take(Orders(1, 3, 120, kSet));
  const auto order = Expect<RestoreOrder>(plan);
  plan.OnRestoreBegun(order);
  plan.Take(Orders(2, 4, 120, kSet));
  REQUIRE_FALSE(plan.Wants(order));
  REQUIRE_FALSE(plan.MayAttend());
  plan.OnRestored(order, absl::CancelledError());
  REQUIRE(plan.MayAttend());
  REQUIRE_FALSE(plan.Request(0).has_restore_failure());
  REQUIRE(Expect<RestoreOrder>(plan).generation == 4);
}

// A coordinator that was started anew may give a generation that was under way
// another restore point, unless it hears of it.
TEST_CASE("a restore that a lost coordinator ordered is given up") {
  AgentPlan plan = NewPlan();
  plan.Take(Orders(7, 3, 120, kSet));
  const auto order = Expect<RestoreOrder>(plan);
  plan.OnRestoreBegun(order);
  REQUIRE(plan.MayAttend());
  plan.OnCoordinatorLost();
  REQUIRE_FALSE(plan.Wants(order));
  REQUIRE_FALSE(plan.MayAttend());
  plan.OnRestored(order, absl::CancelledError());
  REQUIRE(plan.MayAttend());
  REQUIRE(Idle(plan));
  REQUIRE(plan.Request(0).orders_seen() == 0);

  plan.Take(Orders(7, 3, 160, kSet + 1));
  REQUIRE(Expect<RestoreOrder>(plan).version == 160);
}

TEST_CASE("a shard that was told to wait serves no more, and says so") {
  AgentPlan plan = NewPlan();
  plan.Take(Orders(1, 1));
  Restore(plan);
  plan.Take(Orders(1, 0));
  Expect<SuspendOrder>(plan);
  plan.OnSuspended();
  REQUIRE(Idle(plan));
  REQUIRE(plan.Request(0).generation() == 1);
  // It cannot come back to the same generation.
  plan.Take(Orders(2, 1));
  REQUIRE(Idle(plan));
  REQUIRE(plan.Request(0).restore_failure().generation() == 1);
  plan.Take(Orders(3, 2));
  Restore(plan);
  REQUIRE(plan.Request(0).generation() == 2);
}

TEST_CASE("a capture is reported when it is held, and when it is written") {
  AgentPlan plan = CapturingPlan();
  REQUIRE(plan.Request(0).capture_ready() == 0);
  REQUIRE(plan.WantsFile(kSet));
  int64_t revision = plan.revision();
  plan.OnCaptureHeld(kSet, absl::OkStatus());
  REQUIRE(plan.revision() > revision);
  REQUIRE(plan.Request(0).capture_ready() == kSet);
  REQUIRE_FALSE(plan.Request(0).has_capture_result());

  revision = plan.revision();
  v1::CheckpointFile file;
  file.set_shard(1);
  file.set_file_bytes(1234);
  plan.OnFile(kSet, file);
  REQUIRE(plan.revision() > revision);
  const v1::AttendRequest request = plan.Request(0);
  REQUIRE(request.capture_ready() == kSet);
  REQUIRE(request.capture_result().set_id() == kSet);
  REQUIRE(request.capture_result().file().file_bytes() == 1234);
  REQUIRE(request.capture_result().failure().empty());
  REQUIRE(Idle(plan));
}

TEST_CASE("a file may be there before the store's answer is") {
  AgentPlan plan = CapturingPlan();
  plan.OnFile(kSet, v1::CheckpointFile());
  plan.OnCaptureHeld(kSet, absl::OkStatus());
  REQUIRE(plan.Request(0).capture_ready() == kSet);
  REQUIRE(plan.Request(0).capture_result().has_file());
}

TEST_CASE("a capture that fails is reported, and not begun again") {
  AgentPlan plan = CapturingPlan();
  SECTION("because the version has passed") {
    plan.OnCaptureHeld(kSet, absl::OutOfRangeError("too late"));
    REQUIRE(plan.Request(0).capture_ready() == 0);
    REQUIRE(plan.Request(0).capture_result().failure() == "too late");
  }
  SECTION("because the disk is full") {
    plan.OnCaptureHeld(kSet, absl::OkStatus());
    plan.OnFile(kSet, absl::ResourceExhaustedError("disk full"));
    REQUIRE(plan.Request(0).capture_result().failure() == "disk full");
  }
  REQUIRE_FALSE(plan.Request(0).capture_result().has_file());
  REQUIRE(Idle(plan));
}

TEST_CASE("a capture that is withdrawn, or replaced, is dropped first") {
  AgentPlan plan = CapturingPlan();
  plan.OnCaptureHeld(kSet, absl::OkStatus());
  plan.Take(GENERATE(Orders(3, 1), Orders(3, 0), Orders(3, 2),
                     WithCapture(Orders(3, 1), 9, kSet + 1)));
  REQUIRE_FALSE(plan.WantsFile(kSet));
  REQUIRE(Expect<DropCaptureOrder>(plan).set_id == kSet);
  plan.OnCaptureDropped();
  REQUIRE(plan.Request(0).capture_ready() == 0);
  // What the writer says later is of no interest.
  plan.OnFile(kSet, absl::CancelledError());
  REQUIRE_FALSE(plan.Request(0).has_capture_result());
  REQUIRE_FALSE(std::holds_alternative<DropCaptureOrder>(plan.Next()));
}

TEST_CASE("a capture goes on while the coordinator is out of reach") {
  AgentPlan plan = CapturingPlan();
  plan.OnCaptureHeld(kSet, absl::OkStatus());
  plan.OnCoordinatorLost();
  REQUIRE(plan.WantsFile(kSet));
  REQUIRE(Idle(plan));
  plan.OnFile(kSet, v1::CheckpointFile());
  REQUIRE(plan.Request(0).capture_result().has_file());
}

}  // namespace
}  // namespace tessera
