// The watch over a job, with a made-up observer in place of servers.

#include "deploy/launch/watch.h"

#include <deque>
#include <functional>

#include "tests/support/status.h"
#include "tests/support/test_job.h"

namespace tessera {
namespace {

// Plays back what it is given; the last answer stays.
class FakeObserver : public Observer {
 public:
  explicit FakeObserver(const Job& job) : job_(job) {}

  v1::GetStatusResponse MakeStatus(v1::Phase phase, int64_t steps) const {
    v1::GetStatusResponse status;
    status.set_job_name("fake");
    status.set_job_fingerprint(job_.fingerprint());
    status.set_shard_count(static_cast<int>(shards.size()));
    status.set_phase(phase);
    status.set_steps_done(steps);
    for (int64_t step = 0; step < steps; ++step) {
      status.add_steps()->set_step(step);
    }
    return status;
  }

  absl::StatusOr<v1::GetStatusResponse> Status() override {
    ++looks;
    auto answer = answers.front();
    if (answers.size() > 1) answers.pop_front();
    return answer;
  }

  absl::StatusOr<std::vector<v1::GetServerInfoResponse>> ServerInfos()
      override {
    std::vector<v1::GetServerInfoResponse> infos;
    for (int shard : shards) infos.emplace_back().set_shard(shard);
    return infos;
  }

  absl::Status StopJob(const std::string&) override {
    ++stops;
    if (stops >= deaf_to_stops) answers = {MakeStatus(v1::PHASE_ENDED, 1)};
    return absl::OkStatus();
  }

  void ReportDead(const std::string&) override {}

  absl::StatusOr<std::vector<float>> PullAll(const Job&, const ShardPlan&,
                                             int64_t) override {
    return absl::UnimplementedError("not in this test");
  }

  std::deque<absl::StatusOr<v1::GetStatusResponse>> answers;
  std::vector<int> shards = {0, 1};  // Of the servers, in the order given.
  int looks = 0;
  int stops = 0;
  int deaf_to_stops = 1;  // The first that does something.

 private:
  const Job& job_;
};

struct Fixture {
  absl::Duration stop_within = absl::InfiniteDuration();
  Job job = MakeTestJob();
  FakeObserver observer{job};
  StopRequests stop;
  ProgressDisplay display;
  Watch watch{job,
              {.interval = absl::Milliseconds(1),
               .lost_after = absl::Milliseconds(20),
               .stop_within = stop_within},
              nullptr,
              observer,
              stop,
              display};
};

const absl::Status kGone = absl::UnavailableError("server 0 is gone");

TEST_CASE("the watch ends with the job, and has seen its steps") {
  Fixture f;
  f.observer.answers = {f.observer.MakeStatus(v1::PHASE_TRAINING, 1),
                        f.observer.MakeStatus(v1::PHASE_EVALUATING, 2),
                        f.observer.MakeStatus(v1::PHASE_ENDED, 3)};
  const auto status = f.watch.UntilEnd();
  REQUIRE_OK(status);
  REQUIRE(status->steps_done() == 3);
  REQUIRE(f.observer.looks == 3);
  REQUIRE(f.observer.stops == 0);
  REQUIRE(f.watch.history().steps().size() == 3);
}

TEST_CASE("steps of an earlier run are told from this one's") {
  Fixture f;
  // Before the servers have loaded what they go on from.
  f.observer.answers = {f.observer.MakeStatus(v1::PHASE_RECOVERING, 0),
                        f.observer.MakeStatus(v1::PHASE_TRAINING, 2),
                        f.observer.MakeStatus(v1::PHASE_ENDED, 3)};
  REQUIRE_OK(f.watch.UntilEnd());
  REQUIRE(f.watch.first_steps() == 2);
}

TEST_CASE("a request to stop is passed on once") {
  Fixture f;
  f.observer.answers = {f.observer.MakeStatus(v1::PHASE_TRAINING, 1)};
  f.stop.count = 1;
  REQUIRE_OK(f.watch.UntilEnd());
  REQUIRE(f.observer.stops == 1);
}

TEST_CASE("a coordinator that came back is asked to stop again") {
  Fixture f;
  f.observer.deaf_to_stops = 2;
  f.stop.count = 1;
  for (int64_t generation : {7, 7, 0, 9, 9}) {
    f.observer.answers.push_back(f.observer.MakeStatus(v1::PHASE_TRAINING, 1));
    f.observer.answers.back()->set_generation(generation);
  }
  REQUIRE_OK(f.watch.UntilEnd());
  REQUIRE(f.observer.stops == 2);
}

TEST_CASE("a job that does not stop is given up, with what it waits for") {
  Fixture f{.stop_within = absl::Milliseconds(20)};
  f.observer.deaf_to_stops = 1000000;
  v1::GetStatusResponse stuck = f.observer.MakeStatus(v1::PHASE_TRAINING, 1);
  stuck.mutable_checkpoint()->set_newest_folder("ckpt/checkpoint-7");
  stuck.add_waiting()->set_work("shard 1 to come back");
  stuck.mutable_waiting(0)->set_waiting_ms(5000);
  f.observer.answers = {stuck};
  f.stop.count = 1;
  REQUIRE_ERROR(f.watch.UntilEnd(), absl::StatusCode::kDeadlineExceeded, "20ms",
                "shard 1 to come back", "ckpt/checkpoint-7");
}

TEST_CASE("the end is not the end while the last checkpoint is written") {
  Fixture f;
  v1::GetStatusResponse pending = f.observer.MakeStatus(v1::PHASE_ENDED, 2);
  pending.mutable_checkpoint()->set_enabled(true);
  pending.mutable_checkpoint()->set_pending_version(2);
  v1::GetStatusResponse written = pending;
  written.mutable_checkpoint()->set_pending_version(-1);
  f.observer.answers = {pending, pending, written};
  REQUIRE_OK(f.watch.UntilEnd());
  REQUIRE(f.observer.looks == 3);
}

TEST_CASE("servers that went back are counted") {
  Fixture f;
  std::vector<absl::StatusOr<v1::GetStatusResponse>> answers;
  for (int64_t generation : {7, 7, 0, 9, 9, 12}) {
    answers.push_back(f.observer.MakeStatus(v1::PHASE_TRAINING, 1));
    answers.back()->set_generation(generation);
  }
  answers.push_back(f.observer.MakeStatus(v1::PHASE_ENDED, 2));
  f.observer.answers = {answers.begin(), answers.end()};
  REQUIRE_OK(f.watch.UntilEnd());
  REQUIRE(f.watch.recoveries() == 2);
}

TEST_CASE("answers that fail for a while are no loss") {
  Fixture f;
  f.observer.answers = {f.observer.MakeStatus(v1::PHASE_TRAINING, 1), kGone,
                        kGone, f.observer.MakeStatus(v1::PHASE_ENDED, 2)};
  REQUIRE_OK(f.watch.UntilEnd());
}

TEST_CASE("a server that stays away is lost, in its own words") {
  Fixture f;
  f.observer.answers = {f.observer.MakeStatus(v1::PHASE_TRAINING, 1), kGone};
  REQUIRE_ERROR(f.watch.UntilEnd(), absl::StatusCode::kUnavailable,
                "server 0 is gone");
}

TEST_CASE("an error that cannot pass is not waited out") {
  Fixture f;
  f.observer.answers = {absl::FailedPreconditionError("ask shard 0")};
  REQUIRE_ERROR(f.watch.UntilEnd(), absl::StatusCode::kFailedPrecondition,
                "ask shard 0");
  REQUIRE(f.observer.looks == 1);
}

TEST_CASE("servers that run another job are found out at once") {
  Fixture f;
  v1::GetStatusResponse status = f.observer.MakeStatus(v1::PHASE_TRAINING, 1);
  status.set_job_fingerprint(7);
  f.observer.answers = {status};
  REQUIRE_ERROR(f.watch.UntilEnd(), absl::StatusCode::kFailedPrecondition,
                "job \"fake\"", "0000000000000007");
  REQUIRE(f.observer.looks == 1);
}

TEST_CASE("servers in the wrong order, or too few, are found out") {
  Fixture f;
  SECTION("order") {
    f.observer.shards = {1, 0};
    f.observer.answers = {f.observer.MakeStatus(v1::PHASE_TRAINING, 1)};
    REQUIRE_ERROR(f.watch.UntilEnd(), absl::StatusCode::kFailedPrecondition,
                  "address number 1", "shard 1", "in shard order");
  }
  SECTION("count") {
    f.observer.answers = {f.observer.MakeStatus(v1::PHASE_TRAINING, 1)};
    f.observer.shards = {0};
    REQUIRE_ERROR(f.watch.UntilEnd(), absl::StatusCode::kFailedPrecondition,
                  "2 servers", "are 1");
  }
}

}  // namespace
}  // namespace tessera
