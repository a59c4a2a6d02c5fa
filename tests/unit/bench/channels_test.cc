// The ceiling and the baseline: real sockets, real values.

#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/command.h"
#include "tests/support/status.h"
#include "worker/bench/baseline/channel.h"
#include "worker/bench/baseline/server.h"
#include "worker/bench/closed_form.h"
#include "worker/bench/pipeline.h"
#include "worker/bench/raw_tcp/channel.h"
#include "worker/bench/raw_tcp/frame.h"
#include "worker/bench/raw_tcp/server.h"
#include "worker/bench/raw_tcp/socket.h"

namespace tessera::bench {
namespace {

using MakeChannel =
    std::function<std::unique_ptr<BlockChannel>(const ShardPlan&, int worker)>;

// All workers, each on a thread, through a few runs of every operation; values
// are compared with the closed form throughout.
void RunWorkers(const ShardPlan& plan, int workers, float unit,
                const MakeChannel& make_channel) {
  const std::string board = absl::StrCat(NewScratchFolder(), "/board");
  REQUIRE_OK(StepBoard::Create(board, workers, plan.block_count()));
  std::vector<absl::Status> results(static_cast<size_t>(workers));
  const auto work = [&](int w) -> absl::Status {
    ClosedForm form(workers, unit, v1::ENCODING_FLOAT32);
    std::vector<float> gradient(static_cast<size_t>(plan.elements()));
    std::vector<float> values(gradient.size());
    form.FillGradient(w, 0, absl::MakeSpan(gradient));
    const auto steps = StepBoard::Open(board, workers, plan.block_count());
    WorkerState state{.worker = w,
                      .plan = &plan,
                      .gradient = gradient,
                      .values = absl::MakeSpan(values),
                      .versions = std::vector<int64_t>(
                          static_cast<size_t>(plan.block_count())),
                      .board = steps->get()};
    const auto channel = make_channel(plan, w);
    std::vector<int> blocks;
    for (int i = 0; i < plan.block_count(); ++i) blocks.push_back(i);
    for (Operation operation :
         {Operation::kPushPull, Operation::kPush, Operation::kPull,
          Operation::kPushThenPull, Operation::kPushPull}) {
      for (int in_flight : {1, 3, 64}) {
        const auto run = RunPipeline({.operation = operation,
                                      .steps = 3,
                                      .blocks = blocks,
                                      .in_flight = in_flight,
                                      .closed_form = &form,
                                      .check_all = true},
                                     *channel, state);
        if (!run.ok()) return run.status();
      }
    }
    return form.Check(0, values, state.versions[0]);
  };
  std::vector<std::thread> threads;
  for (int w = 0; w < workers; ++w) {
    threads.emplace_back([&, w] { results[static_cast<size_t>(w)] = work(w); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const absl::Status& result : results) REQUIRE_OK(result);
}

TEST_CASE("raw TCP brings the right values, for small and large blocks") {
  const int workers = GENERATE(1, 2, 3);
  const int servers = GENERATE(1, 2);
  // Smaller than a header's neighbourhood, odd sizes, and larger than every
  // buffer on the way.
  const int64_t block_elements = GENERATE(1, 1000, 300007);
  CAPTURE(workers, servers, block_elements);
  const auto plan =
      ShardPlan::Create(block_elements * 5, servers, block_elements * 4)
          .value();
  std::vector<Socket> listeners;
  std::vector<std::string> addresses;
  std::vector<std::thread> threads;
  std::vector<absl::Status> endings(static_cast<size_t>(servers));
  for (int s = 0; s < servers; ++s) {
    listeners.push_back(Listen("127.0.0.1:0").value());
    addresses.push_back(AddressOf(listeners.back()).value());
  }
  for (int s = 0; s < servers; ++s) {
    threads.emplace_back([&, s] {
      endings[static_cast<size_t>(s)] =
          ServeRawTcp(listeners[static_cast<size_t>(s)], plan,
                      {.shard = s, .workers = workers, .unit = 0.25f});
    });
  }
  RunWorkers(plan, workers, 0.25f, [&](const ShardPlan& p, int w) {
    return ConnectRawTcp(p, addresses, w).value();
  });
  for (std::thread& thread : threads) thread.join();
  for (const absl::Status& ending : endings) REQUIRE_OK(ending);
}

TEST_CASE("the baseline brings the right values too") {
  const int workers = GENERATE(1, 2);
  const auto plan = ShardPlan::Create(5000, 2, 4000).value();
  std::vector<std::unique_ptr<BaselineServer>> servers;
  std::vector<std::string> addresses;
  for (int s = 0; s < 2; ++s) {
    servers.push_back(BaselineServer::Start(
                          plan, {.shard = s, .workers = workers, .unit = 0.25f})
                          .value());
    addresses.push_back(servers.back()->address());
  }
  RunWorkers(plan, workers, 0.25f, [&](const ShardPlan& p, int w) {
    return ConnectBaseline(p, addresses, w);
  });
}

// What a server says to one connection that sends these bytes.
absl::Status ServeBytes(const std::vector<FrameHeader>& frames) {
  const auto plan = ShardPlan::Create(100, 1, 40).value();
  const Socket listener = Listen("127.0.0.1:0").value();
  absl::Status ending;
  std::thread server(
      [&] { ending = ServeRawTcp(listener, plan, {.workers = 1}); });
  {
    const Socket client = Connect(AddressOf(listener).value()).value();
    for (const FrameHeader& frame : frames) {
      REQUIRE(send(client.fd(), &frame, sizeof(frame), MSG_NOSIGNAL) ==
              sizeof(frame));
    }
    // Its end of the connection; so the server comes to an end in any case.
    shutdown(client.fd(), SHUT_WR);
    server.join();
  }
  return ending;
}

TEST_CASE("a raw server refuses what does not belong to it") {
  const FrameHeader hello{.kind = FrameKind::kHello, .block = 0};
  const auto refused = IsError(absl::StatusCode::kFailedPrecondition);
  REQUIRE_THAT(ServeBytes({{.kind = FrameKind::kHello, .block = 1}}), refused);
  REQUIRE_THAT(ServeBytes({{.kind = FrameKind::kHello, .block = -1}}), refused);
  // Before its hello.
  REQUIRE_THAT(ServeBytes({{.kind = FrameKind::kPull}}), refused);
  REQUIRE_THAT(ServeBytes({hello, {.kind = FrameKind::kPull, .block = 10}}),
               refused);
  REQUIRE_THAT(ServeBytes({hello, {.kind = FrameKind::kPull, .block = -1}}),
               refused);
  REQUIRE_THAT(
      ServeBytes(
          {hello, {.kind = FrameKind::kPush, .block = 0, .payload_bytes = 44}}),
      refused);
  REQUIRE_THAT(ServeBytes({hello,
                           {.kind = FrameKind::kPush,
                            .block = 0,
                            .step = 1,
                            .payload_bytes = 40}}),
               refused);
  REQUIRE_THAT(ServeBytes({hello, {.kind = FrameKind::kValues}}), refused);
  REQUIRE_OK(ServeBytes({hello}));
}

TEST_CASE("a server that goes away ends the worker's calls") {
  const auto plan = ShardPlan::Create(100, 1, 40).value();
  const std::string board = absl::StrCat(NewScratchFolder(), "/board");
  REQUIRE_OK(StepBoard::Create(board, 1, plan.block_count()));
  const auto steps = StepBoard::Open(board, 1, plan.block_count()).value();
  std::unique_ptr<BlockChannel> channel;
  {
    const Socket listener = Listen("127.0.0.1:0").value();
    channel = ConnectRawTcp(plan, {AddressOf(listener).value()}, 0).value();
    const Socket accepted = Accept(listener).value();
  }
  std::vector<float> gradient(100);
  std::vector<float> values(100);
  WorkerState state{.plan = &plan,
                    .gradient = gradient,
                    .values = absl::MakeSpan(values),
                    .versions = std::vector<int64_t>(10),
                    .board = steps.get()};
  REQUIRE_FALSE(
      RunPipeline({.blocks = {0, 1, 2}, .in_flight = 2}, *channel, state).ok());
}

TEST_CASE("addresses that are none are refused") {
  for (const char* bad : {"", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:70000",
                          ":", "no.such.host.invalid:1"}) {
    CAPTURE(bad);
    REQUIRE_THAT(StatusOf(Listen(bad)),
                 IsError(absl::StatusCode::kInvalidArgument));
  }
}

}  // namespace
}  // namespace tessera::bench
