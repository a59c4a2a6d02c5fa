// Real servers and workers over a network that misbehaves: the job ends, with
// the bits of an undisturbed run.

#include "tests/support/proxy.h"

#include <signal.h>

#include <catch2/catch.hpp>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "tests/integration/hand_cluster.h"

namespace tessera {
namespace {

constexpr int kServers = 2;
constexpr Flow kFlows[] = {Flow::kToServer, Flow::kToClient};

// A worker's ways to all servers.
class Roads {
 public:
  explicit Roads(const HandCluster& cluster) {
    for (const std::string& address : cluster.addresses()) {
      proxies_.push_back(std::make_unique<Proxy>(address));
      addresses_.push_back(proxies_.back()->address());
    }
  }

  // What the worker is to take for the servers'.
  const std::vector<std::string>& addresses() const { return addresses_; }
  const std::vector<std::unique_ptr<Proxy>>& proxies() const {
    return proxies_;
  }

  template <typename Action>
  void OnEach(Action action) const {
    for (const auto& proxy : proxies_) action(*proxy);
  }

  int connections() const {
    int count = 0;
    OnEach([&](Proxy& proxy) { count += proxy.counts().connections; });
    return count;
  }

 private:
  std::vector<std::unique_ptr<Proxy>> proxies_;
  std::vector<std::string> addresses_;
};

std::string Hash(const LaunchRun& run) {
  return run.Summary()["params_sha256"];
}

TEST_CASE("connections that are cut at random cost nothing but time") {
  constexpr int kCuts = 8;  // On each way from a worker to a server.
  constexpr uint32_t kMaxBytesBetween = 20000;
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  const SmallJob job{.steps = 150};
  const std::string expected = RunAndHash(job, 1, 1);
  HandCluster cluster(WriteSmallJob(job), kServers);
  std::vector<Roads> all_roads;
  for (int worker = 0; worker < 2; ++worker) {
    const Roads& roads = all_roads.emplace_back(cluster);
    roads.OnEach([&](Proxy& proxy) {
      for (int i = 0; i < kCuts; ++i) {
        const Cut cuts[] = {Cut::kClose, Cut::kReset, Cut::kHalfClose};
        proxy.CutAfter(kFlows[random() % 2], 1 + random() % kMaxBytesBetween,
                       cuts[random() % 3]);
      }
    });
    cluster.StartWorker(roads.addresses());
  }
  LaunchRun run = cluster.Watch();
  run.RequireSuccess();
  INFO(cluster.Logs());
  REQUIRE(Hash(run) == expected);
  cluster.RequireWorkersEnd();
  int cuts = 0;
  for (const Roads& roads : all_roads) {
    roads.OnEach([&](Proxy& proxy) { cuts += proxy.counts().cuts; });
  }
  // Else nothing was shown.
  REQUIRE(cuts >= 2 * kServers * kCuts / 2);
}

TEST_CASE("a slow network costs nothing but time, and the payloads cross it") {
  const SmallJob job{.steps = 20};
  const std::string expected = RunAndHash(job, 1, 1);
  HandCluster cluster(WriteSmallJob(job), kServers);
  const Roads near(cluster);
  const Roads far(cluster);
  far.OnEach([](Proxy& proxy) {
    proxy.SetLimits(Flow::kToServer, {.delay = absl::Milliseconds(8)});
    proxy.SetLimits(Flow::kToClient, {.delay = absl::Milliseconds(3),
                                      .bytes_per_second = 4000000});
  });
  cluster.StartWorker(near.addresses());
  cluster.StartWorker(far.addresses());
  LaunchRun run = cluster.Watch();
  run.RequireSuccess();
  INFO(cluster.Logs());
  REQUIRE(Hash(run) == expected);
  cluster.RequireWorkersEnd();
  // Each step brings every block up and, to both, down. Where workers and
  // servers share memory, proxies see nothing of it.
  const int64_t bytes = near.proxies()[0]->counts().bytes_to_client +
                        far.proxies()[0]->counts().bytes_to_client;
  REQUIRE(bytes > 20 * 7000 * 4 / kServers);
}

// Spoils one of two workers' ways until the other has gone on alone, past the
// lease; the first then comes back. The job ends when the test has seen it all.
template <typename Spoil, typename Mend>
void RequireNoHarm(Spoil spoil, Mend mend) {
  SmallJob job{.steps = 1000000};
  HandCluster cluster(WriteSmallJob(job), kServers, {"--lease_seconds=1"});
  const Roads sound(cluster);
  const Roads spoiled(cluster);
  cluster.StartWorker(sound.addresses());
  cluster.StartWorker(spoiled.addresses());
  LaunchRun run = cluster.Watch();
  // Both are at work.
  spoiled.OnEach([](Proxy& proxy) {
    REQUIRE(proxy.Await(
        [](const ProxyCounts& c) { return c.bytes_to_server > 200000; }));
  });
  spoiled.OnEach(spoil);
  const int before = run.StepsSeen();
  REQUIRE(Eventually([&] { return run.StepsSeen() > before + 50; }));
  const int64_t bytes_before = spoiled.proxies()[1]->counts().bytes_to_server;
  spoiled.OnEach(mend);
  REQUIRE(spoiled.proxies()[1]->Await([&](const ProxyCounts& c) {
    return c.bytes_to_server > bytes_before + 100000;
  }));
  run.command().Signal(SIGINT);
  const auto ending = run.command().Wait();
  INFO(run.command().Output());
  INFO(cluster.Logs());
  REQUIRE(ending.has_value());
  REQUIRE(ending->exit_status == 130);
  cluster.RequireWorkersEnd();
  job.steps = run.Summary()["steps"];
  REQUIRE(Hash(run) == RunAndHash(job, 1, 1));
}

TEST_CASE("a one-way black hole that ends does no harm") {
  const Flow flow = GENERATE(Flow::kToServer, Flow::kToClient);
  CAPTURE(static_cast<int>(flow));
  RequireNoHarm([flow](Proxy& proxy) { proxy.BlackHole(flow); },
                [flow](Proxy& proxy) { proxy.Heal(flow); });
}

TEST_CASE("a network that stands still for a while does no harm") {
  RequireNoHarm(
      [](Proxy& proxy) {
        for (Flow flow : kFlows) proxy.Stall(flow);
      },
      [](Proxy& proxy) {
        for (Flow flow : kFlows) proxy.Heal(flow);
      });
}

}  // namespace
}  // namespace tessera
