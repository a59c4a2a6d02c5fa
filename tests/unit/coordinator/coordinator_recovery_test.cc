// Servers that come, go and go back to a checkpoint.

#include <catch2/catch.hpp>

#include "tests/unit/coordinator/servers_fixture.h"

namespace tessera {
namespace {

constexpr auto kRefused = absl::StatusCode::kFailedPrecondition;
using Entries = std::vector<std::string>;

RestorePoint Point(int64_t version, uint64_t set_id) {
  return {.version = version, .set_id = set_id, .state = {}};
}

const TestJobOptions kJob{.microbatches = 2,
                          .steps = 40,
                          .test_examples = 10,
                          .evaluation = "every_steps: 10"};

v1::Operation NoPeriodicCheckpoints() {
  v1::Operation operation;
  operation.mutable_checkpoint()->set_every_steps(1000);
  operation.mutable_checkpoint()->set_keep(2);
  return operation;
}

struct Recovering : ServersFixture {
  explicit Recovering(std::vector<RestorePoint> points = {})
      : ServersFixture(kJob, NoPeriodicCheckpoints(), std::move(points)) {}

  // "generation 3, version 20 of set 5".
  std::string Orders(int shard) {
    const v1::AttendResponse orders = Say(shard);
    return absl::StrCat("generation ", orders.generation(), ", version ",
                        orders.restore().version(), " of set ",
                        orders.restore().set_id());
  }
  void Fail(int shard, absl::StatusCode code) {
    const v1::AttendResponse orders = Say(shard);
    v1::RestoreFailure failure;
    failure.set_generation(orders.generation());
    failure.set_set_id(orders.restore().set_id());
    failure.set_code(static_cast<int>(code));
    failure.set_message("as it goes");
    servers.at(static_cast<size_t>(shard)).failure = failure;
    Say(shard);
  }
};

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
  const uint64_t first = coordinator->orders(0);
  REQUIRE(Say(0).orders() == first);
  REQUIRE(Say(0).orders() == first);
  const uint64_t second = Say(1).orders();
  REQUIRE(second != first);
  REQUIRE(coordinator->orders(0) == second);
  REQUIRE(coordinator->orders(1) == second);
  Obey(0);
  Obey(1);
  REQUIRE(coordinator->orders(0) == second);
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
  // Still a member; version 5 proves nothing any more.
  REQUIRE(Ask(a, {.have_version = 5, .generation = 1}) == "step 0 [0, 2)");
  REQUIRE(coordinator->steps_done() == 0);
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
  CoordinatorFixture f(kJob);
  REQUIRE_ERROR(f.coordinator->Attend({}, f.now), kRefused);
  REQUIRE_ERROR(f.coordinator->RequestCheckpoint(f.now), kRefused);
  REQUIRE(f.coordinator->generation() == 0);
  REQUIRE(f.coordinator->orders(0) == 0);
  const WorkerId a = f.Join();
  REQUIRE(f.Ask(a, {.have_version = 0, .generation = 5}) == "step 0 [0, 2)");
  REQUIRE(f.Status().shards().empty());
  REQUIRE_FALSE(f.Status().has_checkpoint());
}

TEST_CASE("a set that cannot be loaded is dropped for the next, to the first") {
  Recovering f({Point(20, 7), Point(10, 5)});
  f.Say(0);
  f.Say(1);
  f.Obey(0);
  f.Fail(1, GENERATE(absl::StatusCode::kDataLoss, absl::StatusCode::kNotFound,
                     absl::StatusCode::kFailedPrecondition));
  REQUIRE(f.Orders(0) == "generation 2, version 10 of set 5");
  REQUIRE(f.Status().checkpoint().newest_version() == 10);
  // What was said before is not said of this generation.
  REQUIRE(f.Orders(1) == "generation 2, version 10 of set 5");
  f.Fail(0, absl::StatusCode::kDataLoss);
  REQUIRE(f.Orders(1) == "generation 3, version 0 of set 0");
  REQUIRE(f.Status().checkpoint().newest_version() == -1);
  f.ObeyAll();
  REQUIRE(f.coordinator->generation() == 3);
  REQUIRE(f.coordinator->steps_done() == 0);
  // Dropped for good.
  f.Replace(1);
  REQUIRE(f.Orders(1) == "generation 4, version 0 of set 0");
}

TEST_CASE("a failure that is not the set's is tried again, after a pause") {
  Recovering f({Point(20, 7)});
  f.Say(0);
  f.Say(1);
  f.Fail(0, absl::StatusCode::kUnavailable);
  REQUIRE(f.Orders(0) == "generation 1, version 20 of set 7");
  f.now += ShardRoll::kRetryPause / 2;
  f.coordinator->Tick(f.now);
  REQUIRE(f.Orders(0) == "generation 1, version 20 of set 7");
  f.now += ShardRoll::kRetryPause / 2;
  f.coordinator->Tick(f.now);
  REQUIRE(f.Orders(0) == "generation 2, version 20 of set 7");
  f.ObeyAll();
  REQUIRE(f.coordinator->generation() == 2);
  f.now += 10 * ShardRoll::kRetryPause;
  f.coordinator->Tick(f.now);
  REQUIRE(f.coordinator->generation() == 2);
}

TEST_CASE_METHOD(Recovering, "initial parameters are never given up") {
  Say(0);
  Say(1);
  Fail(0, absl::StatusCode::kDataLoss);
  now += ShardRoll::kRetryPause;
  coordinator->Tick(now);
  REQUIRE(Orders(0) == "generation 2, version 0 of set 0");
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

TEST_CASE("a job can be stopped while its servers are awaited or load") {
  const bool early = GENERATE(true, false);
  Recovering f({Point(15, 7)});
  const WorkerId a = f.Join();
  if (early) f.coordinator->RequestStop(f.now);
  f.Say(0);
  f.Say(1);
  if (!early) f.coordinator->RequestStop(f.now);
  REQUIRE_FALSE(f.coordinator->ended());
  f.ObeyAll();
  REQUIRE(f.Ask(a) == "evaluation of 15, chunks [0, 1)");
  f.ReportAll(a, 15, 1);
  REQUIRE(f.Ask(a) == "end STOPPED");
}

TEST_CASE("without workers a stop ends it wherever it starts") {
  Recovering f({Point(15, 7)});
  f.coordinator->RequestStop(f.now);
  REQUIRE(f.coordinator->ended());
  f.ObeyAll();
  REQUIRE(f.coordinator->ended());
  REQUIRE(f.coordinator->steps_done() == 15);
}

TEST_CASE_METHOD(Recovering, "a stop outlives going back") {
  ObeyAll();
  const WorkerId a = Join();
  TrainTo(a, 5);
  REQUIRE(Status().workers(0).holds() == "step 5 [0, 2)");
  coordinator->RequestStop(now);
  Replace(1);
  ObeyAll();
  REQUIRE(Status().steps_total() == 6);
  TrainTo(a, 6);
  REQUIRE(AskAnew(a, 6) == "evaluation of 6, chunks [0, 1)");
  ReportAll(a, 6, 1);
  REQUIRE(Ask(a, At(6)) == "end STOPPED");
}

TEST_CASE_METHOD(Recovering,
                 "a job that has ended goes on if it lost its end") {
  ObeyAll();
  const WorkerId a = Join();
  TrainTo(a, 40);
  ReportAll(a, 40, 1);
  REQUIRE(coordinator->ended());
  Replace(1);
  Say(1);
  REQUIRE_FALSE(coordinator->ended());
  REQUIRE(Status().phase() == v1::PHASE_RECOVERING);
  ObeyAll();
  TrainTo(a, 40);
  ReportAll(a, 40, 1);
  REQUIRE(Ask(a, At(40)) == "end STEPS");
}

TEST_CASE_METHOD(Recovering, "and stays ended if a set holds it") {
  ObeyAll();
  const WorkerId a = Join();
  TrainTo(a, 40);
  ReportAll(a, 40, 1);
  Obey(0);
  Obey(1);
  REQUIRE(Write().version() == 40);
  Replace(1);
  REQUIRE(Orders(1) == "generation 2, version 40 of set 1000");
  ObeyAll();
  REQUIRE(coordinator->generation() == 2);
  REQUIRE(Ask(a, At(40)) == "end STEPS");
  REQUIRE(Status().evaluations().size() == 4);
  REQUIRE(Capture() == "none");
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
