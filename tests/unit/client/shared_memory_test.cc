// Clients that share memory with servers, over real streams.

#include <catch2/catch.hpp>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/shm/shared_region.h"
#include "tests/support/proxy.h"
#include "tests/support/relay.h"
#include "tests/support/status.h"
#include "tests/unit/client/test_cluster.h"
#include "worker/client/parameter_client.h"
#include "worker/client/pull_all.h"

namespace tessera {
namespace {

using Code = absl::StatusCode;
using Views = std::vector<BlockView>;

constexpr absl::Duration kLong = absl::Minutes(1);

std::shared_ptr<SharedRegion> MakeRegion() {
  auto region = SharedRegion::Create(1 << 20);
  REQUIRE_OK(region);
  return *std::move(region);
}

// A gradient of all blocks in a region.
class SharedGradient {
 public:
  SharedGradient(const ShardPlan& plan, SharedRegion& region, float value)
      : plan_(plan),
        values_(static_cast<float*>(region.Allocate(Bytes()).value()),
                static_cast<size_t>(plan.elements())) {
    Fill(value);
  }

  void Fill(float value) { std::fill(values_.begin(), values_.end(), value); }

  BlockGradient Push(int block, int64_t step, const MicrobatchRange& range) {
    const Interval elements = plan_.BlockElements(block);
    return {.block = block,
            .step = step,
            .range = range,
            .values = values_.subspan(static_cast<size_t>(elements.begin),
                                      static_cast<size_t>(elements.size()))};
  }

 private:
  size_t Bytes() const {
    return static_cast<size_t>(plan_.elements()) * sizeof(float);
  }

  const ShardPlan plan_;
  const absl::Span<float> values_;
};

// A client that must share memory, through relays that can be cut.
class SharingClient {
 public:
  explicit SharingClient(const TestCluster& cluster) : region(MakeRegion()) {
    ParameterClientOptions options = cluster.ClientOptions();
    for (std::string& server : options.servers) {
      relays.push_back(std::make_unique<Relay>(server));
      server = relays.back()->address();
    }
    options.transport = Transport::kSharedMemory;
    options.region = region;
    // More than streams.
    options.threads = 5;
    client = cluster.MakeClient(std::move(options));
  }

  std::vector<std::unique_ptr<Relay>> relays;
  std::shared_ptr<SharedRegion> region;
  std::unique_ptr<ParameterClient> client;
};

// The answer to a call of PushPullView.
absl::StatusOr<BlockView> PushPullView(ParameterClient& client,
                                       const BlockGradient& gradient) {
  Mutex mutex;
  absl::optional<absl::StatusOr<BlockView>> result;
  client.PushPullView(gradient, [&](absl::StatusOr<BlockView> view) {
    MutexLock lock(&mutex);
    result = std::move(view);
  });
  MutexLock lock(&mutex);
  REQUIRE(mutex.AwaitFor([&] { return result.has_value(); }, kLong));
  return *std::move(result);
}

std::vector<float> FloatsOf(const BlockView& view) {
  std::vector<float> values(view.bytes().size() / sizeof(float));
  view.bytes().CopyTo(values.data());
  return values;
}

struct Outcome {
  std::vector<float> parameters;
  std::vector<uint64_t> state_hashes;
};

// Runs some steps of a job with two blocks on each of two servers. `disturb` is
// called between the halves of each.
template <typename Disturb>
Outcome RunSteps(TestCluster& cluster, ParameterClient& client,
                 SharedRegion& region, Disturb disturb) {
  const ShardPlan& plan = cluster.plan();
  SharedGradient first(plan, region, 1);
  SharedGradient second(plan, region, -0.25);
  FlatVector to(plan, 0);
  for (int64_t step = 0; step < 5; ++step) {
    Calls calls;
    for (int block = plan.block_count() - 1; block >= 0; --block) {
      client.PushPull(first.Push(block, step, {0, 1}), to.Block(block),
                      calls.Expect(2 * block));
    }
    disturb(step);
    for (int block = plan.block_count() - 1; block >= 0; --block) {
      client.PushPull(second.Push(block, step, {1, 2}), {},
                      calls.Expect(2 * block + 1));
    }
    REQUIRE(calls.Await());
    for (int i = 0; i < 2 * plan.block_count(); ++i) {
      REQUIRE_OK(calls.Result(i));
    }
  }
  Outcome outcome{.parameters = to.values()};
  for (int shard = 0; shard < plan.shard_count(); ++shard) {
    outcome.state_hashes.push_back(cluster.server(shard).store().StateHash());
  }
  return outcome;
}

TEST_CASE("TCP and shared memory give the same bits, with retries between") {
  const std::string wire =
      GENERATE("", "pull: ENCODING_BFLOAT16",
               "push: ENCODING_BFLOAT16 pull: ENCODING_BFLOAT16");
  CAPTURE(wire);
  const TestJobOptions job{.parameters = 200, .block_bytes = 256, .wire = wire};
  const auto nothing = [](int64_t) {};
  TestCluster plain(job, 2);
  ParameterClientOptions options = plain.ClientOptions();
  options.transport = Transport::kTcp;
  const auto region = MakeRegion();
  const auto client = plain.MakeClient(options);
  REQUIRE_ERROR(client->AwaitSharedMemory(kLong), Code::kFailedPrecondition,
                "not asked for");
  const Outcome expected = RunSteps(plain, *client, *region, nothing);

  TestCluster cluster(job, 2);
  SharingClient sharing(cluster);
  REQUIRE_OK(sharing.client->AwaitSharedMemory(kLong));
  const Outcome shared =
      RunSteps(cluster, *sharing.client, *sharing.region, nothing);
  REQUIRE(shared.parameters == expected.parameters);
  REQUIRE(shared.state_hashes == expected.state_hashes);
  REQUIRE(sharing.client->traffic().retries == 0);
  REQUIRE_OK(sharing.client->AwaitSharedMemory(kLong));

  TestCluster shaken(job, 2);
  SharingClient cut(shaken);
  const Outcome retried =
      RunSteps(shaken, *cut.client, *cut.region, [&cut](int64_t step) {
        if (step % 2 == 1) cut.relays[step / 2]->Cut();
      });
  REQUIRE(retried.parameters == expected.parameters);
  REQUIRE(retried.state_hashes == expected.state_hashes);
  REQUIRE(cut.client->traffic().retries > 0);
  REQUIRE_FALSE(cut.region->detached());
}

TEST_CASE("where the server shares no memory, auto does without and on fails") {
  TestCluster cluster({.parameters = 40}, 1, {}, ShmUse::kOff);
  const auto region = MakeRegion();
  SharedGradient gradient(cluster.plan(), *region, 1);
  FlatVector to(cluster.plan(), 0);
  ParameterClientOptions options = cluster.ClientOptions();
  options.region = region;
  Calls calls;
  {
    const auto client = cluster.MakeClient(options);
    REQUIRE_ERROR(client->AwaitSharedMemory(kLong), Code::kFailedPrecondition,
                  cluster.addresses()[0], "--shared_memory=off");
    client->PushPull(gradient.Push(0, 0, {0, 2}), to.Block(0), calls.Expect(1));
    REQUIRE(calls.Await());
    REQUIRE_OK(calls.Result(1));
  }
  options.transport = Transport::kSharedMemory;
  const auto client = cluster.MakeClient(options);
  for (int i = 2; i < 4; ++i) {
    client->Pull(0, 1, to.Block(0), calls.Expect(i));
    REQUIRE(calls.Await());
    REQUIRE_ERROR(calls.Result(i), Code::kFailedPrecondition,
                  cluster.addresses()[0], "--shared_memory=off");
  }
}

TEST_CASE("a server that is away is named while shared memory is waited for") {
  TestCluster cluster({.parameters = 40}, 1);
  cluster.StopServer(0);
  ParameterClientOptions options = cluster.ClientOptions();
  const auto client = cluster.MakeClient(options);
  REQUIRE_ERROR(client->AwaitSharedMemory(absl::Milliseconds(100)),
                Code::kDeadlineExceeded, cluster.addresses()[0]);
  cluster.StartServer(0);
  REQUIRE_OK(client->AwaitSharedMemory(kLong));
}

TEST_CASE("values are read in place, over either transport") {
  TestCluster cluster({.parameters = 40}, 1);
  SharingClient sharing(cluster);
  SharedGradient gradient(cluster.plan(), *sharing.region, 1);
  auto shared = PushPullView(*sharing.client, gradient.Push(0, 0, {0, 2}));
  REQUIRE_OK(shared);
  ParameterClientOptions options = cluster.ClientOptions();
  options.transport = Transport::kTcp;
  auto client = cluster.MakeClient(options);
  auto received = PushPullView(*client, gradient.Push(0, 0, {0, 2}));
  REQUIRE_OK(received);
  client.reset();
  for (BlockView* view : {&*shared, &*received}) {
    REQUIRE(view->version() == 1);
    REQUIRE(view->encoding() == v1::ENCODING_FLOAT32);
    REQUIRE(view->bytes().size() == 64);
    REQUIRE(view->Valid());
  }
  REQUIRE(FloatsOf(*shared) == FloatsOf(*received));
  // In the server's memory, in one piece whose place is a multiple of 64.
  REQUIRE(shared->bytes().pieces().size() == 1);
  REQUIRE(reinterpret_cast<uintptr_t>(shared->bytes().pieces()[0].data()) %
              64 ==
          0);
  const BlockView moved = *std::move(shared);
  REQUIRE(moved.Valid());
  // The server goes, and takes its memory back; what was received stays.
  cluster.StopServer(0);
  REQUIRE_FALSE(moved.Valid());
  REQUIRE(received->Valid());
  sharing.client.reset();
  REQUIRE_FALSE(moved.Valid());
}

TEST_CASE("a refusal reaches who wanted a view") {
  TestCluster cluster({.parameters = 40}, 1);
  SharingClient sharing(cluster);
  SharedGradient gradient(cluster.plan(), *sharing.region, 1);
  REQUIRE_ERROR(PushPullView(*sharing.client, gradient.Push(0, 7, {0, 2})),
                Code::kOutOfRange, "step 7");
}

TEST_CASE("versions stay as they are while they are lent, and up to a bound") {
  // One block, so that two versions are lent at most.
  TestCluster cluster({.parameters = 16}, 1);
  SharingClient sharing(cluster);
  SharedGradient gradient(cluster.plan(), *sharing.region, 1);
  Views views;
  std::vector<std::vector<float>> seen;
  constexpr int64_t kSteps = 6;
  for (int64_t step = 0; step < kSteps; ++step) {
    auto view = PushPullView(*sharing.client, gradient.Push(0, step, {0, 2}));
    REQUIRE_OK(view);
    seen.push_back(FloatsOf(*view));
    views.push_back(*std::move(view));
  }
  for (size_t i = 0; i < views.size(); ++i) {
    REQUIRE(views[i].Valid());
    REQUIRE(FloatsOf(views[i]) == seen[i]);
    if (i > 0) REQUIRE(seen[i] != seen[i - 1]);
  }
  // The first two are the server's, the others came as messages.
  sharing.relays[0]->Cut();
  cluster.StopServer(0);
  for (size_t i = 0; i < views.size(); ++i) {
    REQUIRE(views[i].Valid() == (i >= 2));
  }
}

TEST_CASE("what is released can be lent again") {
  TestCluster cluster({.parameters = 16}, 1);
  SharingClient sharing(cluster);
  SharedGradient gradient(cluster.plan(), *sharing.region, 1);
  // Far more than the bound, and than what is released in one message.
  for (int64_t step = 0; step < 100; ++step) {
    const auto view =
        PushPullView(*sharing.client, gradient.Push(0, step, {0, 2}));
    REQUIRE_OK(view);
    // A received message's bytes come after its header.
    REQUIRE(reinterpret_cast<uintptr_t>(view->bytes().pieces()[0].data()) %
                64 ==
            0);
  }
}

TEST_CASE("a worker that is cut off holds up nobody") {
  TestCluster cluster({.parameters = 40}, 1);
  SharingClient lost(cluster);
  SharedGradient gradient(cluster.plan(), *lost.region, 1);
  const auto held = PushPullView(*lost.client, gradient.Push(0, 0, {0, 2}));
  REQUIRE_OK(held);
  Calls calls;
  FlatVector to(cluster.plan(), 0);
  // Half of step 0 of block 1; the call stays open, and is repeated.
  lost.client->PushPull(gradient.Push(1, 0, {0, 1}), to.Block(1),
                        calls.Expect(1));
  lost.relays[0]->Cut();

  SharingClient other(cluster);
  SharedGradient more(cluster.plan(), *other.region, 1);
  Calls done;
  for (int64_t step = 1; step < 20; ++step) {
    other.client->PushPull(more.Push(0, step, {0, 2}), to.Block(0),
                           done.Expect(static_cast<int>(step)));
    REQUIRE(done.Await());
    REQUIRE_OK(done.Result(static_cast<int>(step)));
  }
  other.client->PushPull(more.Push(1, 0, {1, 2}), {}, done.Expect(100));
  REQUIRE(done.Await());
  REQUIRE(calls.Await());
  REQUIRE_OK(calls.Result(1));
  REQUIRE_FALSE(held->Valid());
  // Who is told that goes on with what the server has by now.
  lost.client->Pull(0, 20, to.Block(0), calls.Expect(2));
  REQUIRE(calls.Await());
  REQUIRE_OK(calls.Result(2));
}

TEST_CASE("what a server may still read never changes after a call was ended") {
  TestCluster cluster({.parameters = 40}, 1);
  SharingClient sharing(cluster);
  SharedGradient gradient(cluster.plan(), *sharing.region, 1);
  FlatVector to(cluster.plan(), 0);
  REQUIRE_OK(sharing.client->AwaitSharedMemory(kLong));
  Calls calls;
  // Answered calls are no reason.
  sharing.client->PushPull(gradient.Push(1, 0, {0, 2}), to.Block(1),
                           calls.Expect(0));
  REQUIRE(calls.Await());
  sharing.client->CancelAll();
  REQUIRE_FALSE(sharing.region->detached());

  sharing.client->PushPull(gradient.Push(0, 0, {0, 1}), to.Block(0),
                           calls.Expect(1));
  // Calls leave in order: when this one is answered, the other was sent.
  Calls later;
  sharing.client->Pull(1, 1, to.Block(1), later.Expect(0));
  REQUIRE(later.Await());
  sharing.client->CancelAll();
  REQUIRE_ERROR(calls.Result(1), Code::kCancelled);
  REQUIRE(sharing.region->detached());
  gradient.Fill(100);
  // The memory is as good as any other.
  FlatVector ones(cluster.plan(), 1);
  sharing.client->PushPull(
      {.block = 0, .step = 0, .range = {0, 2}, .values = ones.Block(0)},
      to.Block(0), calls.Expect(2));
  sharing.client->PushPull(gradient.Push(2, 0, {0, 2}), to.Block(2),
                           calls.Expect(3));
  REQUIRE(calls.Await());
  REQUIRE_OK(calls.Result(2));
  REQUIRE_OK(calls.Result(3));
}

// The bytes that cross a network while a gradient of some size is pushed.
int64_t BytesOfPush(ParameterClient& client, const BlockGradient& gradient,
                    const Proxy& road) {
  REQUIRE_OK(client.AwaitSharedMemory(kLong));
  const int64_t before = road.counts().bytes_to_server;
  Calls calls;
  client.PushPull(gradient, {}, calls.Expect(0));
  REQUIRE(calls.Await());
  REQUIRE_OK(calls.Result(0));
  return road.counts().bytes_to_server - before;
}

TEST_CASE("after memory was detached, another region is shared") {
  constexpr int64_t kBytes = 128 << 10;
  TestCluster cluster({.parameters = kBytes / 4, .block_bytes = kBytes}, 1);
  const Proxy road(cluster.addresses()[0]);
  const auto first = MakeRegion();
  ParameterClientOptions options = cluster.ClientOptions();
  options.servers = {road.address()};
  options.transport = Transport::kSharedMemory;
  options.region = first;
  const auto client = cluster.MakeClient(options);
  SharedGradient gradient(cluster.plan(), *first, 1);
  REQUIRE(BytesOfPush(*client, gradient.Push(0, 0, {0, 1}), road) < kBytes);
  first->Detach();
  REQUIRE(BytesOfPush(*client, gradient.Push(0, 0, {1, 2}), road) >= kBytes);

  const auto second = MakeRegion();
  client->UseRegion(second);
  SharedGradient anew(cluster.plan(), *second, 1);
  REQUIRE(BytesOfPush(*client, anew.Push(0, 1, {0, 1}), road) < kBytes);
  // What lies elsewhere is sent.
  REQUIRE(BytesOfPush(*client, gradient.Push(0, 1, {1, 2}), road) >= kBytes);
  client->UseRegion(nullptr);
  REQUIRE(BytesOfPush(*client, anew.Push(0, 2, {0, 2}), road) >= kBytes);
}

TEST_CASE("what was lent in a generation stays as it is when that is over") {
  // One block, so that two versions are lent at most.
  TestCluster cluster({.parameters = 16}, 1);
  ShardStore& store = cluster.server(0).store();
  REQUIRE_OK(store.Restore(1, 0, nullptr));
  SharingClient sharing(cluster);
  sharing.client->SetGeneration(1);
  SharedGradient gradient(cluster.plan(), *sharing.region, 1);
  auto held = PushPullView(*sharing.client, gradient.Push(0, 0, {0, 2}));
  REQUIRE_OK(held);
  const std::vector<float> seen = FloatsOf(*held);
  for (int64_t generation = 2; generation < 6; ++generation) {
    REQUIRE_OK(store.Restore(generation, 0, nullptr));
    sharing.client->SetGeneration(generation);
    gradient.Fill(static_cast<float>(generation));
    for (int64_t step = 0; step < 3; ++step) {
      const auto view =
          PushPullView(*sharing.client, gradient.Push(0, step, {0, 2}));
      REQUIRE_OK(view);
      REQUIRE(view->Valid());
      REQUIRE(FloatsOf(*view) != seen);
    }
    REQUIRE(held->Valid());
    REQUIRE(FloatsOf(*held) == seen);
  }
  // Given back to a store that has long forgotten it.
  held = absl::CancelledError();
  REQUIRE_OK(PushPullView(*sharing.client, gradient.Push(0, 3, {0, 2})));
  REQUIRE(sharing.client->traffic().retries == 0);
}

TEST_CASE("gradients of a generation that is over are let go, and shared on") {
  const TestJobOptions job{.parameters = 40};
  TestCluster undisturbed(job, 1);
  SharingClient reference(undisturbed);
  const Outcome expected = RunSteps(undisturbed, *reference.client,
                                    *reference.region, [](int64_t) {});

  TestCluster cluster(job, 1);
  ShardStore& store = cluster.server(0).store();
  REQUIRE_OK(store.Restore(1, 0, nullptr));
  SharingClient sharing(cluster);
  sharing.client->SetGeneration(1);
  SharedGradient gradient(cluster.plan(), *sharing.region, 3);
  FlatVector to(cluster.plan(), 0);
  Calls calls;
  for (int block = 0; block < cluster.plan().block_count(); ++block) {
    sharing.client->PushPull(gradient.Push(block, 0, {0, 1}), to.Block(block),
                             calls.Expect(block));
  }
  REQUIRE_OK(store.Restore(2, 0, nullptr));
  // Those that come only now are refused as well.
  REQUIRE(calls.Await());
  for (int block = 0; block < cluster.plan().block_count(); ++block) {
    REQUIRE_ERROR(calls.Result(block), Code::kAborted, "generation 1");
  }
  gradient.Fill(100);
  sharing.client->SetGeneration(2);
  const Outcome outcome =
      RunSteps(cluster, *sharing.client, *sharing.region, [](int64_t) {});
  REQUIRE(outcome.parameters == expected.parameters);
  REQUIRE(outcome.state_hashes == expected.state_hashes);
  // All calls were answered, so nothing had to be taken away.
  REQUIRE_FALSE(sharing.region->detached());
  REQUIRE_OK(sharing.client->AwaitSharedMemory(kLong));
}

TEST_CASE("a client may come and go while it gets hold of shared memory") {
  TestCluster cluster({.parameters = 40}, 1);
  FlatVector to(cluster.plan(), 0);
  for (int i = 0; i < 50; ++i) {
    Calls calls;
    SharingClient sharing(cluster);
    sharing.client->Pull(0, 0, to.Block(0), calls.Expect(1));
    if (i % 3 == 0) sharing.client->CancelAll();
    if (i % 3 == 1) REQUIRE(calls.Await());
  }
}

}  // namespace
}  // namespace tessera
