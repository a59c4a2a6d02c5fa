// The trained parameters depend on the job alone.

#include <signal.h>

#include <catch2/catch.hpp>

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

TEST_CASE("a worker killed in the middle is replaced, and the bits stay") {
  const SmallJob job{.steps = 400};
  const std::string expected = RunAndHash(job, 2, 2);
  LaunchRun run(WriteSmallJob(job), 2, 2);
  for (int kills = 0; kills < 3; ++kills) {
    // Somewhere in the run: each time some steps further.
    REQUIRE(Eventually([&] {
      return run.StepsSeen() > 20 + 60 * kills || !IsAlive(run.command().pid());
    }));
    const auto workers = Descendants(run.command().pid(), "tessera_worker");
    REQUIRE_FALSE(workers.empty());
    kill(workers.front(), SIGKILL);
  }
  run.RequireSuccess();
  INFO(run.command().Output());
  // The launcher says what happened.
  REQUIRE(run.command().Output().find("SIGKILL") != std::string::npos);
  REQUIRE(run.Summary()["steps"] == 400);
  REQUIRE(run.Summary()["params_sha256"] == expected);
}

TEST_CASE("a worker that is stopped past its lease does no harm") {
  const SmallJob job{.steps = 300};
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
