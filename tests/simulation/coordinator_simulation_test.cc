// Jobs under crashes, stalls, slow workers and a bad network, by seed.
//
// Environment: TESSERA_SEEDS=N runs seeds 0 to N - 1 (default 2000);
// TESSERA_SEED=S runs that seed alone and prints its trace.

#include <catch2/catch.hpp>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string>

#include "tests/simulation/replay.h"
#include "tests/simulation/simulation.h"
#include "tests/support/environment.h"
#include "tests/support/test_job.h"

namespace tessera {
namespace {

// Runs a seed once more, and fails the test with what happened.
void FailWithTrace(uint64_t seed) {
  const SimulationResult result =
      Simulate(DrawJob(seed), {.seed = seed, .keep_trace = true});
  FAIL(DescribeFailure(seed, result.complaint,
                       "//tests/simulation:coordinator_simulation_test",
                       result.trace));
}

TEST_CASE("every job ends as it must, whatever happens to its workers") {
  if (std::getenv("TESSERA_SEED") != nullptr) {
    const uint64_t seed = NumberFromEnvironment("TESSERA_SEED", 0);
    const SimulationResult result =
        Simulate(DrawJob(seed), {.seed = seed, .keep_trace = true});
    std::cout << result.trace;
    INFO("seed " << seed);
    REQUIRE(result.complaint == "");
    return;
  }
  const uint64_t seeds = NumberFromEnvironment("TESSERA_SEEDS", 2000);
  int64_t events = 0;
  int64_t faults = 0;
  for (uint64_t seed = 0; seed < seeds; ++seed) {
    const SimulationResult result = Simulate(DrawJob(seed), {.seed = seed});
    if (!result.complaint.empty()) FailWithTrace(seed);
    events += result.events;
    faults += result.faults;
  }
  std::cout << seeds << " seeds, " << events << " events, " << faults
            << " faults\n";
  // A load too small would prove nothing.
  REQUIRE((seeds < 100 || faults >= static_cast<int64_t>(seeds) * 10));
}

TEST_CASE("the same seed gives the same run, another seed another") {
  const Job job = DrawJob(3);
  const uint64_t hash = Simulate(job, {.seed = 3}).trace_hash;
  REQUIRE(Simulate(job, {.seed = 3}).trace_hash == hash);
  REQUIRE(Simulate(job, {.seed = 3, .keep_trace = true}).trace_hash == hash);
  REQUIRE(Simulate(job, {.seed = 4}).trace_hash != hash);
}

// What people look at after the run.
std::string Outcome(v1::GetStatusResponse status) {
  status.clear_workers();
  status.clear_shard_count();
  return status.SerializeAsString();
}

TEST_CASE("one job ends alike under every fault") {
  const Job job = MakeTestJob({.parameters = 48,
                               .microbatches = 11,
                               .steps = 40,
                               .test_examples = 95,
                               .evaluation = "every_steps: 7 "
                                             "chunk_examples: 10"});
  std::string first;
  int compared = 0;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    INFO("seed " << seed);
    const SimulationResult result = Simulate(job, {.seed = seed});
    REQUIRE(result.complaint == "");
    // A run that was stopped has a history of its own.
    if (result.status.end_reason() == v1::END_REASON_STOPPED) continue;
    if (first.empty()) first = Outcome(result.status);
    REQUIRE(Outcome(result.status) == first);
    ++compared;
  }
  REQUIRE(compared > 50);
}

}  // namespace
}  // namespace tessera
