#include "server/service/coordinator_handler.h"

#include <catch2/catch.hpp>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "common/base/mutex.h"
#include "tests/support/status.h"
#include "tests/support/test_job.h"

namespace tessera {
namespace {

using Code = absl::StatusCode;
using Answer = std::optional<absl::StatusOr<v1::GetWorkResponse>>;

constexpr int64_t kWaitMs = 2000;

// A coordinator of a job with M = 2 on a clock that only moves by hand.
class Fixture {
 public:
  Fixture()
      : job(MakeTestJob()),
        options{.lease = absl::Seconds(10), .shard_count = 3},
        handler(job, Coordinator::Create(job, options), options,
                [this] { return now; }) {}

  uint64_t Join() {
    const auto joined = handler.Join({});
    REQUIRE_OK(joined);
    return joined->worker_id();
  }

  // Where the call's answer will be.
  std::shared_ptr<Answer> GetWork(uint64_t worker, int64_t wait_ms,
                                  uint64_t* ticket = nullptr) {
    v1::GetWorkRequest request;
    request.set_worker_id(worker);
    request.set_have_version(-1);
    request.set_wait_ms(wait_ms);
    request.set_request_number(++requests);
    auto answer = std::make_shared<Answer>();
    const uint64_t id = handler.GetWork(
        request, [answer](absl::StatusOr<v1::GetWorkResponse> response) {
          REQUIRE_FALSE(answer->has_value());
          *answer = std::move(response);
        });
    if (ticket != nullptr) *ticket = id;
    return answer;
  }

  // Lets workers join until one gets nothing; returns those that got work.
  std::vector<uint64_t> LeaseAll() {
    std::vector<uint64_t> workers;
    while (true) {
      const uint64_t worker = Join();
      const auto answer = GetWork(worker, 0);
      REQUIRE(answer->has_value());
      REQUIRE_OK(**answer);
      if ((*answer)->value().has_none()) return workers;
      workers.push_back(worker);
      REQUIRE(workers.size() < 10);
    }
  }

  absl::Time now = absl::FromUnixSeconds(1000);
  Job job;
  CoordinatorOptions options;
  CoordinatorHandler handler;
  uint64_t requests = 0;
};

TEST_CASE("joining tells the worker all it needs") {
  Fixture f;
  v1::JoinRequest request;
  request.set_label("host:1");
  request.set_job_fingerprint(f.job.fingerprint());
  const auto joined = f.handler.Join(request);
  REQUIRE_OK(joined);
  REQUIRE(joined->worker_id() == 1);
  REQUIRE(joined->job_fingerprint() == f.job.fingerprint());
  REQUIRE(joined->job().SerializeAsString() ==
          f.job.proto().SerializeAsString());
  REQUIRE(joined->shard_count() == 3);
  REQUIRE(joined->lease_ms() == 10000);

  request.set_job_fingerprint(5);
  REQUIRE_ERROR(f.handler.Join(request), Code::kFailedPrecondition,
                "another job", "0000000000000005");
}

TEST_CASE("a worker that is no member is told so at once") {
  Fixture f;
  const auto answer = f.GetWork(99, kWaitMs);
  REQUIRE(answer->has_value());
  REQUIRE_ERROR(**answer, Code::kNotFound, "99");
  v1::RenewRequest renew;
  renew.set_worker_id(99);
  REQUIRE_ERROR(f.handler.Renew(renew), Code::kNotFound, "99");
}

TEST_CASE("work that is given back goes to the call that waits for it") {
  Fixture f;
  const std::vector<uint64_t> busy = f.LeaseAll();
  const auto first = f.GetWork(f.Join(), kWaitMs);
  REQUIRE_FALSE(first->has_value());
  v1::LeaveRequest leave;
  leave.set_worker_id(busy[0]);
  REQUIRE_OK(f.handler.Leave(leave));
  REQUIRE(first->has_value());
  REQUIRE_OK(**first);
  REQUIRE((*first)->value().has_train());
  REQUIRE((*first)->value().train().step() == 0);
}

TEST_CASE("work of a silent worker goes to the call that waits for it") {
  Fixture f;
  f.LeaseAll();
  const uint64_t worker = f.Join();
  f.now += absl::Seconds(9);
  const auto answer = f.GetWork(worker, kWaitMs);
  REQUIRE_FALSE(answer->has_value());
  f.now += absl::Milliseconds(1500);
  f.handler.Tick();
  REQUIRE(answer->has_value());
  REQUIRE_OK(**answer);
  REQUIRE((*answer)->value().has_train());
}

TEST_CASE("a wait ends when its time is over, and is bounded") {
  Fixture f;
  f.LeaseAll();
  const auto short_wait = f.GetWork(f.Join(), kWaitMs);
  const auto long_wait = f.GetWork(f.Join(), 1'000'000'000);
  const auto no_wait = f.GetWork(f.Join(), -5);
  REQUIRE(no_wait->has_value());
  REQUIRE_OK(**no_wait);
  REQUIRE((*no_wait)->value().has_none());
  f.now += absl::Milliseconds(kWaitMs) - absl::Milliseconds(1);
  f.handler.Tick();
  REQUIRE_FALSE(short_wait->has_value());
  f.now += absl::Milliseconds(1);
  f.handler.Tick();
  REQUIRE(short_wait->has_value());
  REQUIRE_OK(**short_wait);
  REQUIRE((*short_wait)->value().has_none());
  f.now += CoordinatorHandler::kMaxWait;
  f.handler.Tick();
  REQUIRE(long_wait->has_value());
}

TEST_CASE("a caller that goes away takes its wait along") {
  Fixture f;
  const std::vector<uint64_t> busy = f.LeaseAll();
  uint64_t ticket = 0;
  const auto gone = f.GetWork(f.Join(), kWaitMs, &ticket);
  const auto other = f.GetWork(f.Join(), kWaitMs);
  f.handler.CancelWait(ticket);
  f.handler.CancelWait(ticket);
  REQUIRE(gone->has_value());
  REQUIRE_ERROR(**gone, Code::kCancelled);
  // The work goes to who is still there.
  v1::LeaveRequest leave;
  leave.set_worker_id(busy[0]);
  REQUIRE_OK(f.handler.Leave(leave));
  REQUIRE(other->has_value());
}

TEST_CASE("when the job ends, those that wait are told, and nobody may join") {
  Fixture f;
  f.LeaseAll();
  const uint64_t worker = f.Join();
  const auto answer = f.GetWork(worker, kWaitMs);
  REQUIRE_OK(f.handler.RequestStop());
  // Without a living worker the job ends at once.
  f.now += absl::Minutes(1);
  f.handler.Tick();
  REQUIRE(answer->has_value());
  REQUIRE_OK(**answer);
  REQUIRE((*answer)->value().ended().reason() == v1::END_REASON_STOPPED);
  REQUIRE_ERROR(f.handler.Join({}), Code::kFailedPrecondition, "has ended");
  const auto status = f.handler.GetStatus();
  REQUIRE_OK(status);
  REQUIRE(status->phase() == v1::PHASE_ENDED);
}

TEST_CASE("stopping ends every wait, and all later calls") {
  Fixture f;
  f.LeaseAll();
  const uint64_t worker = f.Join();
  const auto answer = f.GetWork(worker, kWaitMs);
  f.handler.Stop();
  REQUIRE(answer->has_value());
  REQUIRE_ERROR(**answer, Code::kUnavailable, "stopping");
  const auto later = f.GetWork(worker, kWaitMs);
  REQUIRE(later->has_value());
  REQUIRE_ERROR(**later, Code::kUnavailable);
  REQUIRE_ERROR(f.handler.Join({}), Code::kUnavailable);
  REQUIRE_ERROR(f.handler.GetStatus(), Code::kUnavailable);
}

TEST_CASE("the losses of applied steps are in the status") {
  Fixture f;
  f.handler.OnStepApplied(/*generation=*/0, 0, 0.25);
  const auto status = f.handler.GetStatus();
  REQUIRE_OK(status);
  REQUIRE(status->steps_size() == 1);
  REQUIRE(status->steps(0).loss() == 0.25);
  REQUIRE(status->shard_count() == 3);
}

// With real threads and the real clock: nothing hangs.
TEST_CASE("the timer ends waits, those too that are shorter than its own") {
  const Job job = MakeTestJob();
  const CoordinatorOptions options{.lease = absl::Hours(1)};
  CoordinatorHandler handler(job, Coordinator::Create(job, options), options,
                             absl::Now);
  std::thread timer([&handler] { handler.RunTimer(); });
  Mutex mutex;
  int answered = 0;
  constexpr int kWorkers = 20;  // More than there is work.
  for (int i = 0; i < kWorkers; ++i) {
    v1::GetWorkRequest request;
    request.set_worker_id(handler.Join({}).value().worker_id());
    request.set_wait_ms(20 + i % 3);
    handler.GetWork(request, [&](absl::StatusOr<v1::GetWorkResponse>) {
      MutexLock lock(&mutex);
      ++answered;
    });
  }
  {
    MutexLock lock(&mutex);
    REQUIRE(
        mutex.AwaitFor([&] { return answered == kWorkers; }, absl::Minutes(1)));
  }
  handler.Stop();
  timer.join();
}

}  // namespace
}  // namespace tessera
