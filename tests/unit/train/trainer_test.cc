// Whole workers, with real servers: told to stop while they wait for anything,
// and left alone by a coordinator that forgot them.

#include "worker/train/trainer.h"

#include <catch2/catch.hpp>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "tests/support/proxy.h"
#include "tests/support/status.h"
#include "tests/unit/client/test_cluster.h"

namespace tessera {
namespace {

using Code = absl::StatusCode;

// Far longer than a test may take: what ends is not ended by this.
constexpr absl::Duration kPatience = absl::Hours(1);

// Of a job that does not end by itself.
const TestJobOptions kLongJob{
    .parameters = 100, .steps = 1000000000, .learning_rate = "base: 0.001"};

// A worker on a thread of its own. Ends before it goes.
class RunningWorker {
 public:
  explicit RunningWorker(const std::vector<std::string>& servers)
      : coordinator_(
            CoordinatorClient::Create({.server = servers[0],
                                       .unreachable_after = kPatience,
                                       .on_outage =
                                           [this](const std::string& report) {
                                             MutexLock lock(&mutex_);
                                             reports_.push_back(report);
                                           }})),
        trainer_({.servers = servers,
                  .label = "me",
                  .unreachable_after = kPatience,
                  .make_network = Network::Create},
                 *coordinator_),
        thread_([this] { result_ = trainer_.Run(); }) {}
  ~RunningWorker() {
    if (thread_.joinable()) (void)Stop();
  }

  // What it ended with, being told to.
  absl::Status Stop() {
    trainer_.Stop();
    return Wait();
  }

  // What it ended with by itself.
  absl::Status Wait() {
    thread_.join();
    return result_;
  }

  // Until it has said that somebody is out of reach.
  std::string AwaitReport() {
    MutexLock lock(&mutex_);
    mutex_.Await([this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return !reports_.empty();
    });
    return reports_[0];
  }

 private:
  Mutex mutex_;
  std::vector<std::string> reports_ ABSL_GUARDED_BY(mutex_);
  const std::unique_ptr<CoordinatorClient> coordinator_;
  Trainer trainer_;
  absl::Status result_;
  std::thread thread_;
};

// Waits for the coordinator to see things so.
void AwaitStatus(
    const std::string& coordinator,
    const std::function<bool(const v1::GetStatusResponse&)>& wanted) {
  const auto client = CoordinatorClient::Create({.server = coordinator});
  while (true) {
    const auto status = client->GetStatus();
    REQUIRE_OK(status);
    if (wanted(*status)) return;
    absl::SleepFor(absl::Milliseconds(2));
  }
}

bool HasStepped(const v1::GetStatusResponse& status) {
  return status.steps_done() > 3;
}

bool HoldsWork(const v1::GetStatusResponse& status) {
  return status.workers_size() == 1 && !status.workers(0).holds().empty();
}

bool HasNobody(const v1::GetStatusResponse& status) {
  return status.workers_size() == 0;
}

TEST_CASE("a worker stops in the middle of its work, and hands it back") {
  TestCluster cluster(kLongJob, 2);
  RunningWorker worker(cluster.addresses());
  AwaitStatus(cluster.addresses()[0], HasStepped);
  REQUIRE_ERROR(worker.Stop(), Code::kCancelled);
  AwaitStatus(cluster.addresses()[0], HasNobody);
}

TEST_CASE("a worker stops while a server is away") {
  TestCluster cluster(kLongJob, 2);
  cluster.StopServer(1);
  RunningWorker worker(cluster.addresses());
  AwaitStatus(cluster.addresses()[0], HoldsWork);
  REQUIRE_ERROR(worker.Stop(), Code::kCancelled);
  AwaitStatus(cluster.addresses()[0], HasNobody);
}

TEST_CASE("a worker stops while a server says nothing") {
  TestCluster cluster(kLongJob, 2);
  Proxy road(cluster.addresses()[1]);
  RunningWorker worker({cluster.addresses()[0], road.address()});
  AwaitStatus(cluster.addresses()[0], HasStepped);
  const Flow flow = GENERATE(Flow::kToServer, Flow::kToClient);
  road.Stall(flow);
  AwaitStatus(cluster.addresses()[0], HoldsWork);
  REQUIRE_ERROR(worker.Stop(), Code::kCancelled);
  AwaitStatus(cluster.addresses()[0], HasNobody);
}

TEST_CASE("a worker stops before it has found its coordinator") {
  TestCluster cluster(kLongJob, 1);
  cluster.StopServer(0);
  RunningWorker worker(cluster.addresses());
  const std::string report = worker.AwaitReport();
  CAPTURE(report);
  REQUIRE(report.find(cluster.addresses()[0]) != std::string::npos);
  REQUIRE(report.find("coordinator") != std::string::npos);
  REQUIRE_ERROR(worker.Stop(), Code::kCancelled);
}

TEST_CASE("a worker stops while its coordinator is away") {
  TestCluster cluster(kLongJob, 2);
  RunningWorker worker(cluster.addresses());
  AwaitStatus(cluster.addresses()[0], HasStepped);
  cluster.StopServer(0);
  worker.AwaitReport();
  REQUIRE_ERROR(worker.Stop(), Code::kCancelled);
}

TEST_CASE("a worker stops while there is no work for it") {
  TestCluster cluster({.microbatches = 1, .steps = 1000000}, 1);
  // Somebody else has all there is.
  const auto other =
      CoordinatorClient::Create({.server = cluster.addresses()[0]});
  v1::GetWorkRequest request;
  request.set_worker_id(other->Join({}).value().worker_id());
  request.set_have_version(-1);
  REQUIRE_OK(other->GetWork(request));
  RunningWorker worker(cluster.addresses());
  AwaitStatus(cluster.addresses()[0], [](const v1::GetStatusResponse& status) {
    return status.workers_size() == 2;
  });
  REQUIRE_ERROR(worker.Stop(), Code::kCancelled);
}

TEST_CASE("a worker stops while servers recover") {
  TestCluster cluster(kLongJob, 2, {}, ShmUse::kAuto, true);
  RunningWorker worker(cluster.addresses());
  AwaitStatus(cluster.addresses()[0], HasStepped);
  // It is missed as soon as it has been silent for a lease; stopping need not
  // wait for that.
  cluster.StopServer(1);
  REQUIRE_ERROR(worker.Stop(), Code::kCancelled);
}

// The hash of all parameters at the job's end.
std::vector<uint64_t> HashesOf(TestCluster& cluster) {
  std::vector<uint64_t> hashes;
  for (int shard = 0; shard < cluster.plan().shard_count(); ++shard) {
    hashes.push_back(cluster.server(shard).store().StateHash());
  }
  return hashes;
}

TEST_CASE("a worker goes on with servers that were started anew") {
  TestJobOptions job = kLongJob;
  job.steps = 3000;
  TestCluster undisturbed(job, 2);
  REQUIRE_OK(RunningWorker(undisturbed.addresses()).Wait());

  const int shard = GENERATE(0, 1);
  CAPTURE(shard);
  TestCluster cluster(job, 2, {}, ShmUse::kAuto, true);
  RunningWorker worker(cluster.addresses());
  AwaitStatus(cluster.addresses()[0], HasStepped);
  // Without a checkpoint: all begin again. A coordinator that comes back knows
  // no worker, and is recovering when that one joins.
  cluster.StopServer(shard);
  cluster.StartServer(shard);
  REQUIRE_OK(worker.Wait());
  for (int i = 0; i < 2; ++i) {
    REQUIRE(cluster.server(i).store().generation() > 1);
  }
  REQUIRE(HashesOf(cluster) == HashesOf(undisturbed));
}

}  // namespace
}  // namespace tessera
