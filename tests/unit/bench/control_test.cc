// What the benchmark and its children say to each other, and what it knows of
// them.

#include "worker/bench/control.h"

#include <sys/types.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <thread>
#include <vector>

#include "tests/support/status.h"
#include "worker/bench/child_setup.h"
#include "worker/bench/process_usage.h"

namespace tessera::bench {
namespace {

struct Ends {
  ControlLink parent;
  ControlLink child;
};

Ends MakeEnds() {
  auto pair = ControlLink::CreatePair().value();
  return {std::move(pair.first), ControlLink(std::move(pair.second))};
}

TEST_CASE("messages arrive whole and in order, large ones too") {
  Ends ends = MakeEnds();
  const std::vector<int> many(200000, 12345);
  std::thread sender([&] {
    for (int i = 0; i < 3; ++i) {
      (void)ends.child.Send({{"number", i}, {"many", many}});
    }
  });
  for (int i = 0; i < 3; ++i) {
    const auto message = ends.parent.Receive(absl::Minutes(1));
    REQUIRE_OK(message);
    REQUIRE((*message)["number"] == i);
    REQUIRE((*message)["many"].size() == many.size());
  }
  sender.join();
}

TEST_CASE("silence, an end and nonsense are told apart") {
  Ends ends = MakeEnds();
  REQUIRE(StatusOf(ends.parent.Receive(absl::Milliseconds(1))).code() ==
          absl::StatusCode::kDeadlineExceeded);
  REQUIRE_OK(ends.child.Send(nlohmann::json::array()));
  REQUIRE(StatusOf(ends.parent.Receive(absl::Minutes(1))).code() ==
          absl::StatusCode::kInternal);
  { const ControlLink gone = std::move(ends.child); }
  REQUIRE(StatusOf(ends.parent.Receive(absl::Minutes(1))).code() ==
          absl::StatusCode::kUnavailable);
}

TEST_CASE("what a child is told arrives as it was") {
  const ChildSetup setup{.index = 2,
                         .elements = 1 << 20,
                         .block_bytes = 4096,
                         .shard_count = 3,
                         .workers = 5,
                         .rate = 0.5f,
                         .encoding = v1::ENCODING_BFLOAT16,
                         .paths = {Path::kShared, Path::kTcp},
                         .servers = {"a:1", "b:2", "c:3"},
                         .board_file = "/x/board",
                         .job_fingerprint = ~uint64_t{0},
                         .version = int64_t{1} << 40,
                         .security = {.ca_file = "ca", .key_file = "key"}};
  const auto back = SetupFromJson(nlohmann::json::parse(ToJson(setup).dump()));
  REQUIRE_OK(back);
  REQUIRE(ToJson(*back) == ToJson(setup));
  REQUIRE(back->job_fingerprint == ~uint64_t{0});
  REQUIRE(back->unit() == 0.5f / 8);
  REQUIRE(back->Plan()->shard_count() == 3);
  nlohmann::json damaged = ToJson(setup);
  damaged.erase("servers");
  REQUIRE_FALSE(SetupFromJson(damaged).ok());
  damaged["servers"] = 7;
  REQUIRE_FALSE(SetupFromJson(damaged).ok());
}

TEST_CASE("requests, answers and errors arrive as they were") {
  const RunRequest request{
      .series = {Operation::kPull, Path::kRawTcp}, .steps = 7, .blocks = 3};
  REQUIRE(ToJson(RequestFromJson(ToJson(request)).value()) == ToJson(request));
  WorkerRun run{.pipeline = {.begin_ns = 1, .end_ns = 5, .calls = 2},
                .cpu_seconds = 0.25};
  run.pipeline.latencies_ns = {3, 4};
  REQUIRE(ToJson(RunFromJson(ToJson(run)).value()) == ToJson(run));
  REQUIRE_FALSE(RunFromJson({{"begin_ns", "x"}}).ok());
  const absl::Status error = absl::DataLossError("element 3");
  REQUIRE(ErrorFromJson(ErrorToJson(error)) == error);
  REQUIRE_OK(ErrorFromJson({{"origin", 3}}));
}

TEST_CASE("a process's time and memory grow as it works") {
  const double before = CpuSeconds(getpid()).value();
  std::vector<char> memory(64 << 20);
  // Page by page, and not to be taken for superfluous.
  volatile char* const touched = memory.data();
  for (size_t i = 0; i < memory.size(); i += 4096) touched[i] = 1;
  volatile double sum = 0;
  while (CpuSeconds(getpid()).value() < before + 0.01) sum = sum + 1;
  const ResidentBytes resident = ResidentOf(getpid()).value();
  REQUIRE(resident.now >= static_cast<int64_t>(memory.size()));
  REQUIRE(resident.peak >= resident.now);
  REQUIRE(AvailableBytes().value() > 0);
}

TEST_CASE("lines of /proc are found by their whole name") {
  REQUIRE(BytesIn("VmRSSx:\t9 kB\nVmRSS:\t  123 kB\n", "VmRSS").value() ==
          123 << 10);
  REQUIRE_FALSE(BytesIn("VmRSS: x kB\n", "VmRSS").ok());
  REQUIRE_FALSE(BytesIn("VmRSS: 3\n", "VmRSS").ok());
  REQUIRE_FALSE(BytesIn("", "VmRSS").ok());
}

}  // namespace
}  // namespace tessera::bench
