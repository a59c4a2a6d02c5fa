// A client whose servers go back to an earlier version.

#include <catch2/catch.hpp>
#include <vector>

#include "absl/time/clock.h"
#include "tests/support/status.h"
#include "tests/unit/client/test_cluster.h"
#include "worker/client/parameter_client.h"

namespace tessera {
namespace {

using Code = absl::StatusCode;

BlockGradient Push(int block, int64_t step, const MicrobatchRange& range,
                   absl::Span<const float> values) {
  return {.block = block, .step = step, .range = range, .values = values};
}

void RestoreAll(TestCluster& cluster, int64_t generation) {
  for (int shard = 0; shard < cluster.plan().shard_count(); ++shard) {
    REQUIRE_OK(cluster.server(shard).store().Restore(generation, 0, nullptr));
  }
}

// The results of a step of all blocks, in one range.
std::vector<absl::Status> TakeStep(TestCluster& cluster,
                                   ParameterClient& client, int64_t step) {
  FlatVector gradient(cluster.plan(), 1);
  FlatVector to(cluster.plan(), 0);
  Calls calls;
  const int blocks = cluster.plan().block_count();
  for (int block = 0; block < blocks; ++block) {
    client.PushPull(Push(block, step, {0, 2}, gradient.Block(block)),
                    to.Block(block), calls.Expect(block));
  }
  REQUIRE(calls.Await());
  std::vector<absl::Status> results;
  for (int block = 0; block < blocks; ++block) {
    results.push_back(calls.Result(block));
  }
  return results;
}

TEST_CASE("calls belong to the generation that the client was told of") {
  const ShmUse memory = GENERATE(ShmUse::kOff, ShmUse::kAuto);
  TestCluster cluster({.parameters = 100}, 2, {}, memory);
  RestoreAll(cluster, 3);
  const auto client = cluster.MakeClient();
  client->SetGeneration(2);
  for (const absl::Status& result : TakeStep(cluster, *client, 0)) {
    REQUIRE_ERROR(result, Code::kAborted, "generation 2", "over");
  }
  REQUIRE(cluster.server(0).store().Stats().version_max == 0);
  client->SetGeneration(3);
  for (const absl::Status& result : TakeStep(cluster, *client, 0)) {
    REQUIRE_OK(result);
  }
  // The stream has lived through the refusals.
  REQUIRE(client->traffic().retries == 0);
}

TEST_CASE("what waits when the servers go back ends, and the rest goes on") {
  TestCluster cluster({.parameters = 100}, 1);
  RestoreAll(cluster, 1);
  const auto client = cluster.MakeClient();
  client->SetGeneration(1);
  FlatVector gradient(cluster.plan(), 1);
  FlatVector to(cluster.plan(), 0);
  Calls calls;
  // One of two microbatches: the answer has to wait.
  client->PushPull(Push(0, 0, {0, 1}, gradient.Block(0)), to.Block(0),
                   calls.Expect(1));
  Calls pushed;
  client->PushPull(Push(1, 0, {0, 1}, gradient.Block(1)), {}, pushed.Expect(1));
  REQUIRE(pushed.Await());
  RestoreAll(cluster, 2);
  REQUIRE(calls.Await());
  REQUIRE_ERROR(calls.Result(1), Code::kAborted, "generation 1");
  client->SetGeneration(2);
  for (const absl::Status& result : TakeStep(cluster, *client, 0)) {
    REQUIRE_OK(result);
  }
}

TEST_CASE("a call ahead of its server is repeated until that is there") {
  TestCluster cluster({.parameters = 16}, 1);
  RestoreAll(cluster, 1);
  const auto client = cluster.MakeClient();
  client->SetGeneration(2);
  FlatVector gradient(cluster.plan(), 1);
  FlatVector to(cluster.plan(), 0);
  Calls calls;
  client->PushPull(Push(0, 0, {0, 2}, gradient.Block(0)), to.Block(0),
                   calls.Expect(1));
  // Refused and repeated at least once.
  while (client->traffic().retries == 0 && calls.missing() == 1) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  REQUIRE(calls.missing() == 1);
  RestoreAll(cluster, 2);
  REQUIRE(calls.Await());
  REQUIRE_OK(calls.Result(1));
}

TEST_CASE("a client of no generation is served in any") {
  TestCluster cluster({.parameters = 16}, 1);
  RestoreAll(cluster, 5);
  const auto client = cluster.MakeClient();
  for (const absl::Status& result : TakeStep(cluster, *client, 0)) {
    REQUIRE_OK(result);
  }
}

}  // namespace
}  // namespace tessera
