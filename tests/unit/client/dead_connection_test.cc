// Connections that die without a word: no reset, no end, just silence.

#include <algorithm>
#include <catch2/catch.hpp>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "tests/support/proxy.h"
#include "tests/support/status.h"
#include "tests/unit/client/test_cluster.h"
#include "worker/client/coordinator_client.h"
#include "worker/client/parameter_client.h"

namespace tessera {
namespace {

constexpr Flow kFlows[] = {Flow::kToServer, Flow::kToClient};

struct Silence {
  const char* name;
  bool to_server;
  bool to_client;
  // Whether bytes are taken and lost, or not taken any more: then what the
  // client sends does not even leave its machine.
  bool swallows;
  // Whether the connection was sound before.
  bool later;
};

constexpr Silence kSilences[] = {
    {"nothing reaches the server", true, false, true, true},
    {"nothing reaches the client", false, true, true, true},
    {"nothing passes", true, true, true, true},
    {"nothing moves", true, true, false, true},
    {"nothing ever passed", true, true, true, false},
};

// A client whose way to a server of its own falls silent, with a call that
// waits and more to come.
class SilencedClient {
 public:
  explicit SilencedClient(const Silence& silence)
      : silence_(silence),
        cluster_({.parameters = 1 << 16, .block_bytes = 64 << 10}, 1),
        road_(cluster_.addresses()[0]),
        gradient_(cluster_.plan(), 1),
        to_(cluster_.plan(), 0) {
    ParameterClientOptions options = cluster_.ClientOptions();
    options.servers = {road_.address()};
    options.transport = Transport::kTcp;
    options.unreachable_after = absl::Hours(1);
    client_ = cluster_.MakeClient(std::move(options));
    if (silence_.later) {
      // Half of a step of one block: the answer has to wait.
      Push(0, {0, 1});
      Calls sound;
      client_->Pull(1, 0, to_.Block(1), sound.Expect(0));
      REQUIRE(sound.Await());
      REQUIRE_OK(sound.Result(0));
    }
    Spoil();
    if (!silence_.later) Push(0, {0, 1});
    for (int block = 1; block < cluster_.plan().block_count(); ++block) {
      Push(block, {0, 2});
    }
    before_ = road_.counts().connections;
  }

  // Whether the client gave the connection up by itself, and then got through.
  void RequireRecovery() {
    CAPTURE(silence_.name);
    REQUIRE(road_.Await([this](const ProxyCounts& counts) {
      return counts.connections > std::max(before_, 1);
    }));
    for (const Flow flow : kFlows) road_.Heal(flow);
    const auto other = cluster_.MakeClient();
    Calls rest;
    other->PushPull(GradientOf(0, {1, 2}), {}, rest.Expect(0));
    REQUIRE(rest.Await());
    REQUIRE_OK(rest.Result(0));
    REQUIRE(calls_.Await());
    for (int block = 0; block < cluster_.plan().block_count(); ++block) {
      REQUIRE_OK(calls_.Result(block));
    }
  }

 private:
  void Spoil() {
    for (const Flow flow : kFlows) {
      const bool hit =
          flow == Flow::kToServer ? silence_.to_server : silence_.to_client;
      if (!hit) continue;
      if (silence_.swallows) {
        road_.BlackHole(flow);
      } else {
        road_.Stall(flow);
      }
    }
  }

  BlockGradient GradientOf(int block, const MicrobatchRange& range) {
    return {.block = block,
            .step = 0,
            .range = range,
            .values = gradient_.Block(block)};
  }
  void Push(int block, const MicrobatchRange& range) {
    client_->PushPull(GradientOf(block, range), to_.Block(block),
                      calls_.Expect(block));
  }

  const Silence& silence_;
  TestCluster cluster_;
  Proxy road_;
  FlatVector gradient_;
  FlatVector to_;
  Calls calls_;
  std::unique_ptr<ParameterClient> client_;
  int before_ = 0;
};

TEST_CASE("a silent connection is given up, and its calls get through") {
  // All at a time: each takes as long as connections are given.
  std::vector<std::unique_ptr<SilencedClient>> clients;
  for (const Silence& silence : kSilences) {
    clients.push_back(std::make_unique<SilencedClient>(silence));
  }
  for (const auto& client : clients) client->RequireRecovery();
}

TEST_CASE("a call to a coordinator that falls silent is repeated") {
  TestCluster cluster({}, 1);
  Proxy road(cluster.addresses()[0]);
  const auto client = CoordinatorClient::Create(
      {.server = road.address(), .unreachable_after = absl::Hours(1)});
  REQUIRE_OK(client->GetStatus());
  road.BlackHole(Flow::kToClient);
  std::thread healer([&] {
    // The call went up, and no answer will come.
    const int64_t before = road.counts().bytes_to_server;
    road.Await([&](const ProxyCounts& counts) {
      return counts.bytes_to_server > before;
    });
    road.Heal(Flow::kToClient);
  });
  const auto status = client->GetStatus();
  healer.join();
  REQUIRE_OK(status);
}

}  // namespace
}  // namespace tessera
