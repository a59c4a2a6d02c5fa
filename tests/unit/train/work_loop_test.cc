// A worker whose servers go back while it works, step by step: the coordinator
// says what the test wants, the servers are real.

#include "worker/train/work_loop.h"

#include <catch2/catch.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "tests/support/proxy.h"
#include "tests/support/status.h"
#include "tests/unit/client/test_cluster.h"
#include "tests/unit/train/scripted_coordinator.h"

namespace tessera {
namespace {

using Code = absl::StatusCode;

v1::GetWorkResponse Train(int64_t generation, int64_t step, int begin,
                          int end) {
  v1::GetWorkResponse response;
  response.set_generation(generation);
  response.mutable_train()->set_step(step);
  response.mutable_train()->set_microbatch_begin(begin);
  response.mutable_train()->set_microbatch_end(end);
  return response;
}

v1::GetWorkResponse Nothing(int64_t generation) {
  v1::GetWorkResponse response;
  response.set_generation(generation);
  response.mutable_none();
  return response;
}

v1::GetWorkResponse Ended(int64_t generation) {
  v1::GetWorkResponse response;
  response.set_generation(generation);
  response.mutable_ended();
  return response;
}

// A worker and its servers. Answers to its requests for work are given one
// after the other.
class Worker {
 public:
  using Answer = std::function<v1::GetWorkResponse(const v1::GetWorkRequest&)>;

  // `servers` are the cluster's, or ways to them.
  explicit Worker(TestCluster& cluster)
      : Worker(cluster, cluster.addresses()) {}
  Worker(TestCluster& cluster, std::vector<std::string> servers) {
    v1::JoinResponse joined;
    joined.set_worker_id(5);
    *joined.mutable_job() = cluster.job().proto();
    joined.set_job_fingerprint(cluster.job().fingerprint());
    joined.set_shard_count(cluster.plan().shard_count());
    joined.set_lease_ms(3600 * 1000);
    auto shop =
        Workshop::Create(joined, {.servers = cluster.plan().shard_count()});
    REQUIRE_OK(shop);
    shop_ = *std::move(shop);
    ParameterClientOptions options = cluster.ClientOptions();
    options.servers = std::move(servers);
    options.region = shop_->region;
    auto network = Network::Create(shop_->job, 64, {});
    REQUIRE_OK(network);
    script_.get_work = [this](const v1::GetWorkRequest& request) {
      requests.push_back(request);
      const size_t number = requests.size() - 1;
      return number < answers_.size() ? answers_[number](request)
                                      : Ended(shop_->generation);
    };
    auto client = cluster.MakeClient(std::move(options));
    client_ = client.get();
    loop_.emplace(coordinator_, *shop_, std::move(client), *std::move(network),
                  joined, nullptr);
  }

  Worker& Then(Answer answer) {
    answers_.push_back(std::move(answer));
    return *this;
  }
  Worker& Then(const v1::GetWorkResponse& answer) {
    return Then([answer](const auto&) { return answer; });
  }

  // Goes through all answers, and then the job's end.
  absl::Status Run() { return loop_->Run(); }

  Workshop& shop() { return *shop_; }
  ParameterClient& client() { return *client_; }

  std::vector<v1::GetWorkRequest> requests;

 private:
  CoordinatorScript script_;
  ScriptedCoordinator coordinator_{script_};
  std::unique_ptr<Workshop> shop_;
  std::vector<Answer> answers_;
  ParameterClient* client_ = nullptr;
  std::optional<WorkLoop> loop_;
};

void RestoreAll(TestCluster& cluster, int64_t generation) {
  for (int shard = 0; shard < cluster.plan().shard_count(); ++shard) {
    REQUIRE_OK(cluster.server(shard).store().Restore(generation, 0, nullptr));
  }
}

// Until all blocks of all shards are there.
void AwaitVersion(TestCluster& cluster, int64_t version) {
  for (int shard = 0; shard < cluster.plan().shard_count(); ++shard) {
    while (cluster.server(shard).store().Stats().version_min < version) {
      absl::SleepFor(absl::Milliseconds(1));
    }
  }
}

int64_t PushesCounted(TestCluster& cluster) {
  const ShardStats stats = cluster.server(0).store().Stats();
  return stats.traffic.empty() ? 0 : stats.traffic[0].pushes;
}

std::vector<uint64_t> Hashes(TestCluster& cluster) {
  std::vector<uint64_t> hashes;
  for (int shard = 0; shard < cluster.plan().shard_count(); ++shard) {
    hashes.push_back(cluster.server(shard).store().StateHash());
  }
  return hashes;
}

// After one step, undisturbed.
std::vector<uint64_t> HashesOfStep(const TestJobOptions& job, int servers) {
  TestCluster cluster(job, servers);
  RestoreAll(cluster, 1);
  Worker worker(cluster);
  worker.Then(Train(1, 0, 0, 2)).Then([&](const auto&) {
    AwaitVersion(cluster, 1);
    return Nothing(1);
  });
  REQUIRE_OK(worker.Run());
  return Hashes(cluster);
}

const TestJobOptions kJob{.parameters = 100};
constexpr int kServers = 2;

TEST_CASE("what a worker holds is no proof in another generation") {
  TestCluster cluster(kJob, kServers);
  RestoreAll(cluster, 1);
  Worker worker(cluster);
  worker.Then(Train(1, 0, 0, 2))
      .Then([&](const auto&) {
        AwaitVersion(cluster, 1);
        RestoreAll(cluster, 2);
        return Nothing(2);
      })
      .Then(Train(2, 0, 0, 2))
      .Then([&](const auto&) {
        AwaitVersion(cluster, 1);
        return Nothing(2);
      });
  REQUIRE_OK(worker.Run());
  const auto& requests = worker.requests;
  REQUIRE(requests.size() == 5);
  REQUIRE(requests[0].generation() == 0);
  REQUIRE(requests[0].have_version() == -1);
  REQUIRE(requests[1].generation() == 1);
  REQUIRE(requests[1].have_version() >= 0);
  REQUIRE(requests[2].generation() == 2);
  REQUIRE(requests[2].have_version() == -1);
  REQUIRE(requests[3].have_version() >= 0);
  REQUIRE(Hashes(cluster) == HashesOfStep(kJob, kServers));
}

TEST_CASE("a refusal by servers that went back ends the pass, not the worker") {
  TestCluster cluster(kJob, kServers);
  RestoreAll(cluster, 3);
  Worker worker(cluster);
  // The coordinator's word may be older than the servers'; or the worker's own,
  // if it was suspended meanwhile.
  worker.Then(Train(2, 0, 0, 2)).Then(Train(3, 0, 0, 2)).Then([&](const auto&) {
    AwaitVersion(cluster, 1);
    return Nothing(3);
  });
  REQUIRE_OK(worker.Run());
  REQUIRE(worker.requests[1].gives_up_last());
  REQUIRE(worker.requests[1].generation() == 2);
  REQUIRE_FALSE(worker.requests[2].gives_up_last());
  REQUIRE(Hashes(cluster) == HashesOfStep(kJob, kServers));
}

TEST_CASE("pushes under way when the servers go back count for nothing") {
  TestCluster cluster(kJob, kServers);
  RestoreAll(cluster, 1);
  Worker worker(cluster);
  // Half of the step, so that the answers wait.
  worker.Then(Train(1, 0, 0, 1))
      .Then([&](const auto&) {
        RestoreAll(cluster, 2);
        return Train(2, 0, 0, 1);
      })
      .Then(Train(2, 0, 1, 2))
      .Then([&](const auto&) {
        AwaitVersion(cluster, 1);
        return Nothing(2);
      });
  REQUIRE_OK(worker.Run());
  REQUIRE(Hashes(cluster) == HashesOfStep(kJob, kServers));
}

TEST_CASE("memory that had to be detached is replaced, and shared") {
  constexpr int64_t kBytes = 128 << 10;
  const TestJobOptions job{
      .parameters = kBytes / 4, .block_bytes = kBytes, .train_examples = 64};
  TestCluster cluster(job, 1);
  RestoreAll(cluster, 1);
  const Proxy road(cluster.addresses()[0]);
  Worker worker(cluster, {road.address()});
  const std::shared_ptr<SharedRegion> first = worker.shop().region;
  if (first == nullptr) return;  // None here.
  int64_t pushed_from = 0;
  int64_t pushed_to = 0;
  // Entering a generation opens streams anew, so not before that.
  worker.Then(Nothing(1))
      .Then([&](const auto&) {
        REQUIRE_OK(worker.client().AwaitSharedMemory(absl::Minutes(1)));
        return Train(1, 0, 0, 1);
      })
      .Then([&](const auto&) {
        // The worker's gradient was named to the server, and the calls go on.
        while (PushesCounted(cluster) < cluster.plan().block_count()) {
          absl::SleepFor(absl::Milliseconds(1));
        }
        return Nothing(2);
      })
      .Then([&](const auto&) {
        RestoreAll(cluster, 2);
        REQUIRE_OK(worker.client().AwaitSharedMemory(absl::Minutes(1)));
        pushed_from = road.counts().bytes_to_server;
        return Train(2, 0, 0, 2);
      })
      .Then([&](const auto&) {
        AwaitVersion(cluster, 1);
        pushed_to = road.counts().bytes_to_server;
        return Nothing(2);
      });
  REQUIRE_OK(worker.Run());
  REQUIRE(first->detached());
  REQUIRE(worker.shop().region != nullptr);
  REQUIRE_FALSE(worker.shop().region->detached());
  REQUIRE(pushed_to - pushed_from < kBytes);
  REQUIRE(Hashes(cluster) == HashesOfStep(job, 1));
}

TEST_CASE("that others are ahead is believed in their generation only") {
  TestCluster cluster(kJob, kServers);
  RestoreAll(cluster, 1);
  Worker worker(cluster);
  worker.Then(Train(1, 7, 0, 2)).Then(Nothing(1)).Then([&](const auto&) {
    RestoreAll(cluster, 2);
    return Nothing(2);
  });
  REQUIRE_OK(worker.Run());
  REQUIRE(worker.requests[1].have_version() == 8);
  REQUIRE(worker.requests[1].gives_up_last());
  REQUIRE(worker.requests[2].have_version() == 8);
  REQUIRE(worker.requests[3].have_version() == -1);
}

TEST_CASE("a worker that computes something else than another ends") {
  TestCluster cluster(kJob, kServers);
  RestoreAll(cluster, 1);
  FlatVector other(cluster.plan(), 0.5F);
  Calls calls;
  const auto client = cluster.MakeClient();
  for (int block = 0; block < cluster.plan().block_count(); ++block) {
    client->PushPull({.block = block,
                      .step = 0,
                      .range = {0, 1},
                      .values = other.Block(block)},
                     {}, calls.Expect(block));
  }
  REQUIRE(calls.Await());
  Worker worker(cluster);
  // The verdict may come during the next piece of work.
  worker.Then(Train(1, 0, 0, 1)).Then(Train(1, 1, 0, 1));
  const absl::Status status = worker.Run();
  REQUIRE_ERROR(status, Code::kAlreadyExists, "microbatches [0, 1)", "--device",
                "memory");
}

TEST_CASE("a stop holds, whatever becomes of the generation") {
  TestCluster cluster(kJob, kServers);
  RestoreAll(cluster, 1);
  Worker worker(cluster);
  // Half of a step is all that there is; the pass after it would wait.
  worker.Then(Train(1, 0, 0, 1)).Then([&](const auto&) {
    worker.shop().board.Stop(absl::CancelledError("told to"));
    RestoreAll(cluster, 2);
    return Train(2, 0, 0, 1);
  });
  REQUIRE_ERROR(worker.Run(), Code::kCancelled, "told to");
}

}  // namespace
}  // namespace tessera
