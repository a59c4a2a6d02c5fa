#include "worker/client/parameter_client.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <string>
#include <vector>

#include "tests/support/status.h"
#include "tests/unit/client/test_cluster.h"
#include "worker/client/pull_all.h"

namespace tessera {
namespace {

using Code = absl::StatusCode;

BlockGradient Push(int block, int64_t step, const MicrobatchRange& range,
                   absl::Span<const float> values) {
  return {.block = block, .step = step, .range = range, .values = values};
}

TEST_CASE("the addresses must be as many as the plan has shards") {
  const ShardPlan plan = ShardPlan::Create(100, 2, 64).value();
  REQUIRE_ERROR(ParameterClient::Create(plan, {.servers = {"127.0.0.1:1"}}),
                Code::kInvalidArgument, "1 server", "2 shards");
  REQUIRE_ERROR(
      ParameterClient::Create(plan, {.servers = {"127.0.0.1:1", "10.0.0.1:1"}}),
      Code::kFailedPrecondition, "10.0.0.1:1");
}

TEST_CASE("steps of all blocks on all servers are pushed and pulled") {
  // SGD with rate 0.1, M = 2: each step takes 0.1 off every parameter.
  const int threads = GENERATE(1, 2, 7);
  TestCluster cluster({.parameters = 1000}, 3);
  const ShardPlan& plan = cluster.plan();
  ParameterClientOptions options = cluster.ClientOptions();
  options.threads = threads;
  const auto client = cluster.MakeClient(options);
  const auto start = PullAll(plan, 0, *client);
  REQUIRE_OK(start);
  const FlatVector zero(plan, 0);
  FlatVector gradient(plan, 1);
  std::vector<FlatVector> parameters(2, zero);
  Calls calls;
  int number = 0;
  constexpr int kSteps = 5;
  for (int64_t step = 0; step < kSteps; ++step) {
    for (const MicrobatchRange range : {MicrobatchRange{0, 1}, {1, 2}}) {
      for (int block = plan.block_count() - 1; block >= 0; --block) {
        // The first range does not want the answer.
        client->PushPull(Push(block, step, range, gradient.Block(block)),
                         range.begin == 0 ? absl::Span<float>()
                                          : parameters[step % 2].Block(block),
                         calls.Expect(++number));
      }
    }
    REQUIRE(calls.Await());
  }
  for (int i = 1; i <= number; ++i) REQUIRE_OK(calls.Result(i));
  const std::vector<float>& end = parameters[(kSteps - 1) % 2].values();
  for (size_t i = 0; i < end.size(); ++i) {
    REQUIRE(end[i] == Approx((*start)[i] - 0.1 * kSteps).margin(1e-5));
  }
  const auto pulled = PullAll(plan, kSteps, *client);
  REQUIRE_OK(pulled);
  REQUIRE(*pulled == end);
  const ClientTraffic traffic = client->traffic();
  REQUIRE(traffic.pushed_bytes == kSteps * 2 * 4000);
  REQUIRE(traffic.pulled_bytes == (kSteps + 2) * 4000);
  REQUIRE(traffic.retries == 0);
}

TEST_CASE("answers overtake each other") {
  TestCluster cluster({.parameters = 40}, 1);
  const auto client = cluster.MakeClient();
  FlatVector gradient(cluster.plan(), 1);
  FlatVector to(cluster.plan(), 0);
  Calls waiting;
  Calls calls;
  client->PushPull(Push(0, 0, {0, 1}, gradient.Block(0)), to.Block(0),
                   waiting.Expect(0));
  client->Pull(2, 1, to.Block(2), waiting.Expect(2));
  client->PushPull(Push(1, 0, {0, 2}, gradient.Block(1)), to.Block(1),
                   calls.Expect(1));
  REQUIRE(calls.Await());
  REQUIRE_OK(calls.Result(1));
  REQUIRE(waiting.missing() == 2);
  client->PushPull(Push(0, 0, {1, 2}, gradient.Block(0)), {}, calls.Expect(3));
  client->PushPull(Push(2, 0, {0, 2}, gradient.Block(2)), {}, calls.Expect(4));
  REQUIRE(waiting.Await());
  REQUIRE_OK(waiting.Result(0));
  REQUIRE_OK(waiting.Result(2));
  REQUIRE(calls.Await());
}

TEST_CASE("workers that push in opposite orders do not wait for each other") {
  // Every call waits for the other worker's.
  TestCluster cluster({.parameters = 65000, .block_bytes = 4096}, 1);
  const int blocks = cluster.plan().block_count();
  FlatVector gradient(cluster.plan(), 1);
  std::vector<FlatVector> to(2, FlatVector(cluster.plan(), 0));
  const auto forward = cluster.MakeClient();
  const auto backward = cluster.MakeClient();
  for (int64_t step = 0; step < 3; ++step) {
    Calls calls;
    for (int i = 0; i < blocks; ++i) {
      const int j = blocks - 1 - i;
      forward->PushPull(Push(i, step, {0, 1}, gradient.Block(i)),
                        to[0].Block(i), calls.Expect(i));
      backward->PushPull(Push(j, step, {1, 2}, gradient.Block(j)),
                         to[1].Block(j), calls.Expect(blocks + j));
    }
    REQUIRE(calls.Await());
    for (int i = 0; i < 2 * blocks; ++i) REQUIRE_OK(calls.Result(i));
  }
  REQUIRE(to[0].values() == to[1].values());
}

TEST_CASE("final verdicts are passed on, naming the server") {
  TestCluster cluster({.parameters = 40}, 1);
  const auto client = cluster.MakeClient();
  FlatVector gradient(cluster.plan(), 1);
  FlatVector to(cluster.plan(), 0);
  Calls calls;
  client->PushPull(Push(0, 5, {0, 1}, gradient.Block(0)), to.Block(0),
                   calls.Expect(1));
  client->PushPull(Push(0, 0, {0, 3}, gradient.Block(0)), {}, calls.Expect(2));
  client->Pull(0, 7, to.Block(0), calls.Expect(3));
  FlatVector bad(cluster.plan(), std::nanf(""));
  client->PushPull(Push(1, 0, {0, 1}, bad.Block(1)), to.Block(1),
                   calls.Expect(4));
  REQUIRE(calls.Await());
  const std::string& address = cluster.addresses()[0];
  REQUIRE_ERROR(calls.Result(1), Code::kOutOfRange, "step 5", address);
  REQUIRE_ERROR(calls.Result(2), Code::kInvalidArgument, "[0, 3)", address);
  REQUIRE_ERROR(calls.Result(3), Code::kOutOfRange, "7", address);
  REQUIRE_ERROR(calls.Result(4), Code::kInvalidArgument, "block 1");
  REQUIRE(client->traffic().retries == 0);
}

TEST_CASE("calls outlast a server that goes and comes back") {
  TestCluster cluster({.parameters = 40}, 1);
  const auto client = cluster.MakeClient();
  FlatVector gradient(cluster.plan(), 1);
  FlatVector to(cluster.plan(), 0);
  Calls waiting;
  // Half of a step, and pulls that wait for the other half.
  client->PushPull(Push(0, 0, {0, 1}, gradient.Block(0)), to.Block(0),
                   waiting.Expect(0));
  client->PushPull(Push(1, 0, {0, 1}, gradient.Block(1)), to.Block(1),
                   waiting.Expect(1));
  client->Pull(2, 1, to.Block(2), waiting.Expect(2));
  Calls calls;
  client->PushPull(Push(0, 0, {0, 1}, gradient.Block(0)), {}, calls.Expect(0));
  REQUIRE(calls.Await());

  cluster.StopServer(0);
  REQUIRE(waiting.missing() == 3);
  // One more while it is away.
  client->PushPull(Push(1, 0, {1, 2}, gradient.Block(1)), {}, calls.Expect(1));
  cluster.StartServer(0);
  // The new server knows nothing but what it is sent again.
  client->PushPull(Push(0, 0, {1, 2}, gradient.Block(0)), {}, calls.Expect(2));
  client->PushPull(Push(2, 0, {0, 2}, gradient.Block(2)), {}, calls.Expect(3));
  REQUIRE(calls.Await());
  REQUIRE(waiting.Await());
  for (int i = 0; i < 3; ++i) REQUIRE_OK(waiting.Result(i));
  for (int i = 0; i < 4; ++i) REQUIRE_OK(calls.Result(i));
  REQUIRE(client->traffic().retries > 0);
}

TEST_CASE("a server that cannot be reached is named before long") {
  TestCluster cluster({.parameters = 1000}, 2);
  const auto client = cluster.MakeClient(absl::Milliseconds(300));
  FlatVector gradient(cluster.plan(), 1);
  FlatVector to(cluster.plan(), 0);
  cluster.StopServer(1);
  const int last = cluster.plan().block_count() - 1;
  Calls calls;
  client->PushPull(Push(last, 0, {0, 1}, gradient.Block(last)), to.Block(last),
                   calls.Expect(1));
  client->Pull(last, 0, to.Block(last), calls.Expect(2));
  client->PushPull(Push(last, 0, {0, 1}, gradient.Block(last)), {},
                   calls.Expect(3));
  client->Pull(0, 0, to.Block(0), calls.Expect(4));
  REQUIRE(calls.Await());
  for (int i = 1; i <= 3; ++i) {
    REQUIRE_ERROR(calls.Result(i), Code::kUnavailable, cluster.addresses()[1],
                  "shard 1", "out of reach for 300ms");
  }
  REQUIRE_OK(calls.Result(4));
  // Nothing is broken for good.
  cluster.StartServer(1);
  client->Pull(last, 0, to.Block(last), calls.Expect(5));
  client->PushPull(Push(last, 0, {0, 2}, gradient.Block(last)), to.Block(last),
                   calls.Expect(6));
  REQUIRE(calls.Await());
  REQUIRE_OK(calls.Result(5));
  REQUIRE_OK(calls.Result(6));
}

TEST_CASE("cancelling ends all calls; later ones work") {
  TestCluster cluster({.parameters = 40}, 1);
  const auto client = cluster.MakeClient();
  FlatVector gradient(cluster.plan(), 1);
  FlatVector to(cluster.plan(), 0);
  for (int round = 0; round < 3; ++round) {
    Calls calls;
    client->PushPull(Push(0, 0, {0, 1}, gradient.Block(0)), to.Block(0),
                     calls.Expect(0));
    client->Pull(1, 1, to.Block(1), calls.Expect(1));
    client->CancelAll();
    REQUIRE(calls.missing() == 0);
    REQUIRE_ERROR(calls.Result(0), Code::kCancelled);
    REQUIRE_ERROR(calls.Result(1), Code::kCancelled);
  }
  Calls calls;
  client->PushPull(Push(0, 0, {0, 2}, gradient.Block(0)), to.Block(0),
                   calls.Expect(0));
  REQUIRE(calls.Await());
  REQUIRE_OK(calls.Result(0));
}

TEST_CASE("a client that goes ends its calls, even to a server that is away") {
  TestCluster cluster({.parameters = 40}, 1);
  FlatVector gradient(cluster.plan(), 1);
  FlatVector to(cluster.plan(), 0);
  Calls calls;
  auto client = cluster.MakeClient();
  client->PushPull(Push(0, 0, {0, 1}, gradient.Block(0)), to.Block(0),
                   calls.Expect(0));
  cluster.StopServer(0);
  client->PushPull(Push(1, 0, {0, 1}, gradient.Block(1)), to.Block(1),
                   calls.Expect(1));
  client->Pull(1, 1, to.Block(1), calls.Expect(2));
  client.reset();
  for (int i = 0; i < 3; ++i) REQUIRE_ERROR(calls.Result(i), Code::kCancelled);
}

TEST_CASE("gradient memory may be used again once a call has ended") {
  // Blocks of 1 MiB, so that some of it is still on its way to the socket when
  // the call is cancelled. AddressSanitizer sees what is read too late.
  TestCluster cluster({.parameters = 60000, .block_bytes = 1 << 20}, 1);
  const auto client = cluster.MakeClient();
  for (int round = 0; round < 50; ++round) {
    Calls calls;
    auto gradient = std::make_unique<FlatVector>(cluster.plan(), 1.0F);
    auto to = std::make_unique<FlatVector>(cluster.plan(), 0.0F);
    client->PushPull(Push(0, 0, {0, 1}, gradient->Block(0)), to->Block(0),
                     calls.Expect(0));
    if (round % 2 == 0) {
      client->PushPull(Push(0, 0, {0, 1}, gradient->Block(0)), {},
                       calls.Expect(1));
    }
    client->CancelAll();
  }
}

TEST_CASE("callbacks may start calls") {
  TestCluster cluster({.parameters = 40}, 1);
  const auto client = cluster.MakeClient();
  FlatVector to(cluster.plan(), 0);
  Calls calls;
  const BlockDone last = calls.Expect(1);
  client->Pull(0, 0, to.Block(0), [&](const absl::Status&) {
    client->Pull(1, 0, to.Block(1), last);
  });
  REQUIRE(calls.Await());
  REQUIRE_OK(calls.Result(1));
}

TEST_CASE("pulling everything fails as one, and waits for no one") {
  TestCluster cluster({.parameters = 1000}, 2);
  const auto client = cluster.MakeClient();
  REQUIRE_ERROR(PullAll(cluster.plan(), 9, *client), Code::kOutOfRange);
  const auto values = PullAll(cluster.plan(), 0, *client);
  REQUIRE_OK(values);
  REQUIRE(values->size() == 1000);
}

}  // namespace
}  // namespace tessera
