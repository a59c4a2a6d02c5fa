// The coordinator's handler, as servers and checkpoints see it.

#include <catch2/catch.hpp>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/service/coordinator_handler.h"
#include "tests/support/status.h"
#include "tests/support/test_job.h"

namespace tessera {
namespace {

using Code = absl::StatusCode;
template <typename Response>
using Answer = std::shared_ptr<std::optional<absl::StatusOr<Response>>>;

constexpr int64_t kWaitMs = 2000;

template <typename Response>
std::function<void(absl::StatusOr<Response>)> Into(
    const Answer<Response>& answer) {
  return [answer](absl::StatusOr<Response> response) {
    REQUIRE_FALSE(answer->has_value());
    *answer = std::move(response);
  };
}

template <typename Response>
Answer<Response> NewAnswer() {
  return std::make_shared<std::optional<absl::StatusOr<Response>>>();
}

// A coordinator of two servers, on a clock that only moves by hand.
class Fixture {
 public:
  Fixture()
      : job(MakeTestJob()),
        options{.shard_count = 2,
                .servers_attend = true,
                .makes_checkpoints = true,
                .draw_set_id = [this] { return next_id++; },
                .describe_set =
                    [](int64_t version, uint64_t) {
                      return absl::StrCat("/sets/", version);
                    }},
        handler(
            job, Coordinator::Create(job, options), options,
            [this] { return now; },
            [this](v1::CheckpointManifest manifest) {
              manifests.push_back(std::move(manifest));
            }) {
    for (int shard : {0, 1}) {
      v1::AttendRequest& server = servers[shard];
      server.set_job_fingerprint(job.fingerprint());
      server.set_shard(shard);
      server.set_shard_count(2);
      server.set_incarnation(100 + static_cast<uint64_t>(shard));
      server.set_wait_ms(kWaitMs);
    }
  }

  Answer<v1::AttendResponse> Attend(const v1::AttendRequest& request,
                                    uint64_t* ticket = nullptr) {
    auto answer = NewAnswer<v1::AttendResponse>();
    const uint64_t id = handler.Attend(request, Into(answer));
    if (ticket != nullptr) *ticket = id;
    return answer;
  }

  // What the server is to do, at once; it notes that it has seen it.
  v1::AttendResponse Orders(int shard) {
    v1::AttendRequest request = servers[shard];
    request.set_wait_ms(0);
    const auto answer = Attend(request);
    REQUIRE(answer->has_value());
    REQUIRE_OK(**answer);
    servers[shard].set_orders_seen((*answer)->value().orders());
    return (*answer)->value();
  }

  // Both servers are there and serve generation 1.
  void Gather() {
    Orders(0);
    for (int shard : {0, 1, 0, 1}) {
      servers[shard].set_generation(Orders(shard).generation());
    }
    Orders(0);
    Orders(1);
  }

  Answer<v1::WriteCheckpointResponse> WriteCheckpoint() {
    auto answer = NewAnswer<v1::WriteCheckpointResponse>();
    handler.WriteCheckpoint(Into(answer));
    return answer;
  }

  uint64_t Join() {
    const auto joined = handler.Join({});
    REQUIRE_OK(joined);
    return joined->worker_id();
  }

  Answer<v1::GetWorkResponse> GetWork(uint64_t worker, int64_t have_version,
                                      int64_t wait_ms) {
    v1::GetWorkRequest request;
    request.set_worker_id(worker);
    request.set_have_version(have_version);
    request.set_generation(generation);
    request.set_wait_ms(wait_ms);
    request.set_gives_up_last(true);
    request.set_request_number(++requests);
    auto answer = NewAnswer<v1::GetWorkResponse>();
    handler.GetWork(request, Into(answer));
    return answer;
  }

  absl::Time now = absl::FromUnixSeconds(1000);
  uint64_t next_id = 1000;
  Job job;
  CoordinatorOptions options;
  std::vector<v1::CheckpointManifest> manifests;
  CoordinatorHandler handler;
  v1::AttendRequest servers[2];
  int64_t generation = 0;
  uint64_t requests = 0;
};

TEST_CASE("orders that were not seen are given at once") {
  Fixture f;
  const auto first = f.Attend(f.servers[0]);
  REQUIRE(first->has_value());
  REQUIRE_OK(**first);
  REQUIRE((*first)->value().generation() == 0);
}

TEST_CASE("a server waits until there are other orders for it") {
  Fixture f;
  f.Orders(0);
  const auto waiting = f.Attend(f.servers[0]);
  REQUIRE_FALSE(waiting->has_value());
  // The other one comes: both can start.
  f.Orders(1);
  REQUIRE(waiting->has_value());
  REQUIRE_OK(**waiting);
  REQUIRE((*waiting)->value().generation() == 1);
  REQUIRE((*waiting)->value().restore().set_id() == 0);
}

TEST_CASE("a wait for orders ends with the same orders") {
  Fixture f;
  const uint64_t seen = f.Orders(0).orders();
  const auto waiting = f.Attend(f.servers[0]);
  f.now += absl::Milliseconds(kWaitMs) - absl::Milliseconds(1);
  f.handler.Tick();
  REQUIRE_FALSE(waiting->has_value());
  f.now += absl::Milliseconds(1);
  f.handler.Tick();
  REQUIRE(waiting->has_value());
  REQUIRE_OK(**waiting);
  REQUIRE((*waiting)->value().orders() == seen);
}

TEST_CASE("no wait is so long that its server would be taken for silent") {
  Fixture f;
  f.Orders(0);
  f.servers[0].set_wait_ms(50'000);
  const auto waiting = f.Attend(f.servers[0]);
  // Half of what is reported as a wait: operation.wait.report_after_seconds.
  f.now += absl::Seconds(5);
  f.handler.Tick();
  REQUIRE(waiting->has_value());
}

TEST_CASE("a later call of a server takes the place of the one that waits") {
  Fixture f;
  f.Gather();
  const auto early = f.Attend(f.servers[0]);
  REQUIRE_FALSE(early->has_value());
  const auto late = f.Attend(f.servers[0]);
  REQUIRE(early->has_value());
  REQUIRE_ERROR(**early, Code::kCancelled);
  REQUIRE_FALSE(late->has_value());
}

TEST_CASE("a server that another has taken the place of is refused") {
  Fixture f;
  f.Gather();
  const auto old = f.Attend(f.servers[1]);
  REQUIRE_FALSE(old->has_value());
  f.servers[1].set_incarnation(999);
  f.servers[1].set_generation(0);
  f.servers[1].set_orders_seen(0);
  REQUIRE(f.Orders(1).generation() == 2);
  // Even the call that it had waiting.
  REQUIRE(old->has_value());
  REQUIRE_ERROR(**old, Code::kFailedPrecondition);
}

TEST_CASE("a server of another job is refused") {
  Fixture f;
  f.servers[0].set_job_fingerprint(5);
  const auto answer = f.Attend(f.servers[0]);
  REQUIRE(answer->has_value());
  REQUIRE_ERROR(**answer, Code::kFailedPrecondition, "another job");
}

TEST_CASE("a server that gives up waiting is let go") {
  Fixture f;
  f.Gather();
  uint64_t ticket = 0;
  const auto waiting = f.Attend(f.servers[0], &ticket);
  f.handler.CancelWait(ticket);
  REQUIRE(waiting->has_value());
  REQUIRE_ERROR(**waiting, Code::kCancelled);
}

TEST_CASE("a call for work waits for the last server, and has the generation") {
  Fixture f;
  f.Orders(0);
  const auto work = f.GetWork(f.Join(), -1, kWaitMs);
  REQUIRE_FALSE(work->has_value());
  f.Gather();
  REQUIRE(work->has_value());
  REQUIRE_OK(**work);
  REQUIRE((*work)->value().has_train());
  REQUIRE((*work)->value().generation() == 1);
}

TEST_CASE("a checkpoint cannot be asked for before all servers are there") {
  Fixture f;
  f.Orders(0);
  const auto answer = f.WriteCheckpoint();
  REQUIRE(answer->has_value());
  REQUIRE_ERROR(**answer, Code::kUnavailable);
}

// A checkpoint that was asked for, up to where both servers have their files.
class CheckpointFixture : public Fixture {
 public:
  CheckpointFixture() {
    Gather();
    generation = 1;
    waiting = WriteCheckpoint();
    REQUIRE_FALSE(waiting->has_value());
    for (int shard : {0, 1}) {
      const v1::AttendResponse orders = Orders(shard);
      REQUIRE(orders.has_capture());
      version = orders.capture().version();
      set_id = orders.capture().set_id();
      servers[shard].set_capture_ready(set_id);
      Orders(shard);
    }
    const uint64_t worker = Join();
    for (int64_t step = 0; step <= version; ++step) GetWork(worker, step, 0);
  }

  void Finish(int shard) {
    v1::CaptureResult& result = *servers[shard].mutable_capture_result();
    result.set_set_id(set_id);
    result.mutable_file()->set_shard(shard);
    result.mutable_file()->set_file_bytes(100);
    Orders(shard);
  }

  Answer<v1::WriteCheckpointResponse> waiting;
  int64_t version = 0;
  uint64_t set_id = 0;
};

TEST_CASE("a checkpoint that is complete answers whoever asked for it") {
  CheckpointFixture f;
  f.Finish(0);
  REQUIRE(f.manifests.empty());
  f.Finish(1);
  REQUIRE(f.manifests.size() == 1);
  REQUIRE(f.manifests[0].set_id() == f.set_id);
  REQUIRE(f.manifests[0].version() == f.version);
  REQUIRE(f.manifests[0].files_size() == 2);
  REQUIRE_FALSE(f.waiting->has_value());
  f.handler.OnManifestWritten(f.set_id, absl::OkStatus(), 200);
  REQUIRE(f.waiting->has_value());
  REQUIRE_OK(**f.waiting);
  const v1::WriteCheckpointResponse& response = (*f.waiting)->value();
  REQUIRE(response.version() == f.version);
  REQUIRE(response.folder() == absl::StrCat("/sets/", f.version));
  REQUIRE(response.bytes() == 200);
}

TEST_CASE("a checkpoint that fails says why, and the next one can succeed") {
  CheckpointFixture f;
  SECTION("on a server") {
    v1::CaptureResult& result = *f.servers[1].mutable_capture_result();
    result.set_set_id(f.set_id);
    result.set_failure("no space left");
    f.Orders(1);
  }
  SECTION("at the manifest") {
    f.Finish(0);
    f.Finish(1);
    f.handler.OnManifestWritten(
        f.set_id, absl::ResourceExhaustedError("no space left"), 0);
  }
  REQUIRE(f.waiting->has_value());
  REQUIRE_ERROR(**f.waiting, Code::kAborted, "no space left");
  const auto next = f.WriteCheckpoint();
  REQUIRE_FALSE(next->has_value());
  REQUIRE(f.Orders(0).capture().set_id() != f.set_id);
}

TEST_CASE("a wait for a checkpoint has an end, as all have") {
  Fixture f;
  f.Gather();
  const auto answer = f.WriteCheckpoint();
  REQUIRE_FALSE(answer->has_value());
  SECTION("by the clock") {
    // Servers that are silent meanwhile may be the reason; either will do.
    f.now += CoordinatorHandler::kMaxCheckpointWait;
    f.handler.Tick();
    REQUIRE(answer->has_value());
    REQUIRE_FALSE((**answer).ok());
  }
  SECTION("when the server stops") {
    f.handler.Stop();
    REQUIRE(answer->has_value());
    REQUIRE_ERROR(**answer, Code::kUnavailable);
  }
}

}  // namespace
}  // namespace tessera
