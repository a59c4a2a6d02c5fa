// The trained parameters depend on the job alone.

#include <signal.h>

#include <catch2/catch.hpp>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "common/base/file.h"
#include "tests/integration/job_run.h"

namespace tessera {
namespace {

TEST_CASE("the same bits for any number of workers, servers and block sizes") {
  const std::string expected = RunAndHash({}, 1, 1);
  REQUIRE(expected.size() == 64);
  for (int workers : {1, 2, 4}) {
    for (int servers : {1, 2, 3}) {
      CAPTURE(workers, servers);
      REQUIRE(RunAndHash({}, servers, workers) == expected);
    }
  }
  for (int block_bytes : {192, 4096, 1 << 20}) {
    CAPTURE(block_bytes);
    REQUIRE(RunAndHash({.block_bytes = block_bytes}, 1, 2) == expected);
  }
}

// The job with what it says about the wire.
SmallJob WithWire(const std::string& wire) {
  return {.extra = "wire { " + wire + " }"};
}

TEST_CASE("the same bits where values are rounded for the wire") {
  const std::string exact = RunAndHash({}, 1, 2);
  for (const char* wire : {"push: ENCODING_BFLOAT16", "pull: ENCODING_BFLOAT16",
                           "push: ENCODING_BFLOAT16 pull: ENCODING_BFLOAT16"}) {
    CAPTURE(wire);
    const std::string expected = RunAndHash(WithWire(wire), 1, 1);
    REQUIRE(expected != exact);
    for (int workers : {1, 2, 4}) {
      for (int servers : {1, 2}) {
        if (workers == 1 && servers == 1) continue;
        CAPTURE(workers, servers);
        REQUIRE(RunAndHash(WithWire(wire), servers, workers) == expected);
      }
    }
  }
}

TEST_CASE("what a run writes is exact, whatever its workers pulled") {
  LaunchRun run(WriteSmallJob(WithWire("pull: ENCODING_BFLOAT16")), 2, 2);
  run.RequireSuccess();
  const auto file = ReadFile(run.run_dir() + "/params.safetensors");
  REQUIRE(file.ok());
  // A length, so many bytes of header, the values.
  uint64_t header;
  std::memcpy(&header, file->data(), sizeof(header));
  int exact = 0;
  int values = 0;
  for (size_t at = 8 + header; at + 4 <= file->size(); at += 4, ++values) {
    // A rounded value would have no bits here.
    exact += (*file)[at] != 0 || (*file)[at + 1] != 0 ? 1 : 0;
  }
  REQUIRE(values > 1000);
  REQUIRE(exact > values * 9 / 10);
}

TEST_CASE("a worker killed in the middle is replaced, and the bits stay") {
  // Long enough that a fast machine is not done before the last kill.
  const SmallJob job{.steps = 2000};
  const std::string expected = RunAndHash(job, 2, 2);
  LaunchRun run(WriteSmallJob(job), 2, 2);
  for (int kills = 0; kills < 3; ++kills) {
    // Somewhere in the run: each time some steps further.
    REQUIRE(Eventually([&] {
      return run.StepsSeen() > 20 + 60 * kills || !IsAlive(run.command().pid());
    }));
    std::vector<pid_t> workers;
    // The one that was killed before may not be back yet.
    REQUIRE(Eventually([&] {
      workers = Descendants(run.command().pid(), "tessera_worker");
      return !workers.empty();
    }));
    kill(workers.front(), SIGKILL);
  }
  run.RequireSuccess();
  INFO(run.command().Output());
  // The launcher says what happened.
  REQUIRE(run.command().Output().find("SIGKILL") != std::string::npos);
  REQUIRE(run.Summary()["steps"] == 2000);
  REQUIRE(run.Summary()["params_sha256"] == expected);
}

TEST_CASE("a worker that is stopped past its lease does no harm") {
  const SmallJob job{.steps = 2000};
  const std::string expected = RunAndHash(job, 2, 2);
  LaunchRun run(WriteSmallJob(job), 2, 2, {"--lease_seconds=1"});
  REQUIRE(Eventually([&] { return run.StepsSeen() > 20; }));
  const auto workers = Descendants(run.command().pid(), "tessera_worker");
  REQUIRE(workers.size() == 2);
  const pid_t stalled = workers.front();
  kill(stalled, SIGSTOP);
  // The other worker takes over all of it.
  const int before = run.StepsSeen();
  REQUIRE(Eventually([&] { return run.StepsSeen() > before + 50; }));
  kill(stalled, SIGCONT);
  run.RequireSuccess();
  REQUIRE(run.Summary()["params_sha256"] == expected);
}

}  // namespace
}  // namespace tessera
