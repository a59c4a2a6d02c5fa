// Servers that come, go and go back to a checkpoint.

#include <catch2/catch.hpp>

#include "tests/unit/coordinator/recovering.h"

namespace tessera {
namespace {

constexpr auto kRefused = absl::StatusCode::kFailedPrecondition;
using Entries = std::vector<std::string>;

TEST_CASE_METHOD(Recovering,
                 "nothing is granted before all servers are there") {
  const WorkerId a = Join();
  REQUIRE(Ask(a) == "none");
  REQUIRE(Status().phase() == v1::PHASE_RECOVERING);
  REQUIRE(Orders(0) == "generation 0, version 0 of set 0");
  REQUIRE(Ask(a) == "none");
  REQUIRE(Orders(1) == "generation 1, version 0 of set 0");
  REQUIRE(Ask(a) == "none");
  REQUIRE(coordinator->generation() == 0);
  Obey(1);
  REQUIRE(Ask(a) == "none");
  Obey(0);
  REQUIRE(coordinator->generation() == 1);
  REQUIRE(Status().phase() == v1::PHASE_TRAINING);
  REQUIRE(Status().generation() == 1);
  REQUIRE(Ask(a) == "step 0 [0, 2)");
}

TEST_CASE_METHOD(Recovering, "orders have another number when they change") {
  const uint64_t first = coordinator->orders();
  REQUIRE(Say(0).orders() == first);
  REQUIRE(Say(0).orders() == first);
  const uint64_t second = Say(1).orders();
  REQUIRE(second != first);
  REQUIRE(coordinator->orders() == second);
  Obey(0);
  Obey(1);
  REQUIRE(coordinator->orders() == second);
  Replace(1);
  REQUIRE(Say(1).orders() != second);
}

TEST_CASE("a coordinator starts from the newest set, above all generations") {
  Recovering f({Point(20, 7), Point(10, 5)});
  f.servers[0].generation = 3;
  f.servers[1].generation = 8;
  f.Say(0);
  REQUIRE(f.Orders(1) == "generation 9, version 20 of set 7");
  REQUIRE(f.coordinator->steps_done() == 20);
  f.Obey(0);
  f.Obey(1);
  REQUIRE(f.coordinator->generation() == 9);
  // Version 20 is evaluated before step 20 begins.
  const WorkerId a = f.Join();
  REQUIRE(f.Ask(a) == "evaluation of 20, chunks [0, 1)");
}

TEST_CASE("a version that is not evaluated goes straight on to its step") {
  Recovering f({Point(15, 7)});
  f.ObeyAll();
  REQUIRE(f.Ask(f.Join()) == "step 15 [0, 2)");
}

TEST_CASE("versions that the job does not have are passed over") {
  Recovering f({Point(41, 7), Point(40, 6), Point(-1, 5)});
  f.ObeyAll();
  REQUIRE(f.coordinator->steps_done() == 40);
  REQUIRE(f.Ask(f.Join()) == "evaluation of 40, chunks [0, 1)");
}

TEST_CASE_METHOD(Recovering, "another process of a shard takes all back") {
  const int shard = GENERATE(0, 1);
  ObeyAll();
  const WorkerId a = Join();
  TrainTo(a, 5);
  REQUIRE(Status().workers(0).holds() == "step 5 [0, 2)");
  Replace(shard);
  REQUIRE(Orders(shard) == "generation 2, version 0 of set 0");
  REQUIRE(coordinator->generation() == 0);
  REQUIRE(coordinator->steps_done() == 0);
  REQUIRE(Status().steps().empty());
  REQUIRE(Status().workers(0).holds() == "");
  REQUIRE(Ask(a, At(5)) == "none");
  ObeyAll();
  REQUIRE(coordinator->generation() == 2);
  REQUIRE(Status().shards(shard).incarnations() == 2);
  REQUIRE(Status().shards(1 - shard).incarnations() == 1);
  // Still a member.
  REQUIRE(Ask(a, At(0)) == "step 0 [0, 2)");
}

TEST_CASE_METHOD(Recovering, "versions of another generation prove nothing") {
  ObeyAll();
  const WorkerId a = Join();
  TrainTo(a, 5);
  Replace(0);
  ObeyAll();
  REQUIRE(Ask(a, At(0)) == "step 0 [0, 2)");
  Ask(a, {.have_version = 1, .generation = 1});
  REQUIRE(coordinator->steps_done() == 0);
  // From who takes no part in recovery, they do.
  Ask(a, {.have_version = 1, .generation = 0});
  REQUIRE(coordinator->steps_done() == 1);
}

TEST_CASE_METHOD(Recovering,
                 "a process that was replaced is refused for ever") {
  ObeyAll();
  const v1::AttendRequest old = Request(1);
  Replace(1);
  Say(1);
  REQUIRE_ERROR(coordinator->Attend(old, now), kRefused, "shard 1",
                "taken the place");
  ObeyAll();
  REQUIRE_ERROR(coordinator->Attend(old, now), kRefused);
  REQUIRE(coordinator->generation() == 2);
}

TEST_CASE_METHOD(Recovering, "a process is replaced while others are awaited") {
  Say(0);
  Replace(0);
  Say(0);
  REQUIRE(Orders(1) == "generation 1, version 0 of set 0");
  ObeyAll();
  REQUIRE(coordinator->generation() == 1);
}

TEST_CASE_METHOD(Recovering, "and while they load") {
  ObeyAll();
  Replace(0);
  Say(0);
  Obey(1);
  Replace(1);
  REQUIRE(Orders(1) == "generation 3, version 0 of set 0");
  ObeyAll();
  REQUIRE(coordinator->generation() == 3);
}

TEST_CASE_METHOD(Recovering, "requests of another job or shard are refused") {
  v1::AttendRequest request = Request(0);
  request.set_job_fingerprint(1);
  REQUIRE_ERROR(coordinator->Attend(request, now), kRefused, "another job");
  request = Request(0);
  request.set_shard_count(3);
  REQUIRE_ERROR(coordinator->Attend(request, now), kRefused, "shard 0 of 3");
  request = Request(0);
  request.set_shard(GENERATE(-1, 2));
  REQUIRE_ERROR(coordinator->Attend(request, now), kRefused);
  request = Request(0);
  request.set_incarnation(0);
  REQUIRE_ERROR(coordinator->Attend(request, now),
                absl::StatusCode::kInvalidArgument, "incarnation 0");
}

TEST_CASE("where servers do not attend, all is there") {
  CoordinatorFixture f(kRecoveringJob);
  REQUIRE_ERROR(f.coordinator->Attend({}, f.now), kRefused);
  REQUIRE_ERROR(f.coordinator->RequestCheckpoint(f.now), kRefused);
  REQUIRE(f.coordinator->generation() == 0);
  REQUIRE(f.coordinator->orders() == 0);
  const WorkerId a = f.Join();
  REQUIRE(f.Ask(a, {.have_version = 0, .generation = 5}) == "step 0 [0, 2)");
  REQUIRE(f.Status().shards().empty());
  REQUIRE_FALSE(f.Status().has_checkpoint());
}

TEST_CASE_METHOD(Recovering, "a late word does not undo a newer one") {
  Say(0);
  Say(1);
  const v1::AttendRequest early = Request(0);
  Obey(0);
  REQUIRE_OK(coordinator->Attend(early, now));
  Obey(1);
  REQUIRE(coordinator->generation() == 1);
}

TEST_CASE_METHOD(Recovering,
                 "a generation that another coordinator gave is not this one") {
  Say(0);
  Say(1);
  // Shard 1 went on under the old coordinator's last orders meanwhile.
  servers[1].generation = 1;
  servers[1].orders_seen = 5;
  REQUIRE(Orders(1) == "generation 2, version 0 of set 0");
  REQUIRE(coordinator->generation() == 0);
}

TEST_CASE_METHOD(Recovering,
                 "a server may lose its orders and keep its place") {
  ObeyAll();
  servers[1].orders_seen = 0;
  Say(1);
  REQUIRE(coordinator->generation() == 1);
}

TEST_CASE_METHOD(Recovering,
                 "workers are called back from another generation") {
  ObeyAll();
  const WorkerId a = Join();
  Ask(a, At(0));
  REQUIRE_FALSE(*coordinator->Renew(a, 1, now));
  Replace(0);
  Say(0);
  REQUIRE(*coordinator->Renew(a, 1, now));
  REQUIRE_FALSE(*coordinator->Renew(a, 0, now));
  ObeyAll();
  REQUIRE(*coordinator->Renew(a, 1, now));
  REQUIRE_FALSE(*coordinator->Renew(a, 2, now));
}

TEST_CASE_METHOD(Recovering, "reports of another generation change nothing") {
  ObeyAll();
  const WorkerId a = Join();
  TrainTo(a, 10);
  Replace(0);
  ObeyAll();
  TrainTo(a, 10);
  REQUIRE(coordinator->generation() == 2);
  const std::vector<ChunkScore> scores(1);
  REQUIRE_OK(coordinator->ReportEvaluation(a, 1, 10, 0, scores, now));
  REQUIRE(Status().evaluations().empty());
  coordinator->OnStepApplied(1, 10, 0.5, now);
  REQUIRE(Status().steps().size() == 10);
  REQUIRE_OK(coordinator->ReportEvaluation(a, 2, 10, 0, scores, now));
  REQUIRE(Status().evaluations().size() == 1);
}

TEST_CASE_METHOD(Recovering, "a repeated request is granted anew after it") {
  ObeyAll();
  const WorkerId a = Join();
  const WorkReport report{
      .have_version = 0, .request_number = 1, .generation = 1};
  REQUIRE(Ask(a, report) == "step 0 [0, 2)");
  Replace(0);
  Say(0);
  REQUIRE(Ask(a, report) == "none");
  ObeyAll();
  REQUIRE(Ask(a, report) == "step 0 [0, 2)");
  REQUIRE(Ask(a, report) == "step 0 [0, 2)");
  REQUIRE(Status().workers(0).holds() == "step 0 [0, 2)");
}

TEST_CASE_METHOD(Recovering, "who is waited for is named") {
  coordinator->Tick(now);
  now += absl::Seconds(9);
  Say(0);
  REQUIRE(ServerWaits().empty());
  now += absl::Seconds(1);
  REQUIRE(ServerWaits() == Entries{"shard 1 to come for 10000"});
  Say(1);
  Obey(0);
  REQUIRE(ServerWaits().empty());
  now += absl::Seconds(11);
  Say(0);
  Say(1);
  REQUIRE(ServerWaits() == Entries{"shard 1 to load version 0 for 11000"});
  now += absl::Seconds(10);
  Say(0);
  REQUIRE(ServerWaits() == Entries{"shard 1 to come back for 10000"});
  Obey(1);
  REQUIRE(ServerWaits().empty());
}

TEST_CASE_METHOD(Recovering, "a status tells of shards") {
  Say(0);
  now += absl::Seconds(2);
  const v1::GetStatusResponse status = Status();
  REQUIRE(status.shards_size() == 2);
  REQUIRE(status.shards(0).incarnation() == servers[0].incarnation);
  REQUIRE(status.shards(0).silent_ms() == 2000);
  REQUIRE(status.shards(1).shard() == 1);
  REQUIRE(status.shards(1).incarnation() == 0);
  REQUIRE(status.shards(1).silent_ms() == 0);
  REQUIRE(status.checkpoint().enabled());
  REQUIRE(status.checkpoint().newest_version() == -1);
  REQUIRE(status.checkpoint().pending_version() == -1);
}

}  // namespace
}  // namespace tessera
