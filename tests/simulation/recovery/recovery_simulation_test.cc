// Jobs whose servers, workers, network and disk fail in every way, by seed.
//
// Environment: as coordinator_simulation_test.cc.

#include "tests/simulation/recovery/recovery_simulation.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <map>
#include <string>

#include "tests/simulation/replay.h"
#include "tests/support/environment.h"

namespace tessera {
namespace {

void FailWithTrace(uint64_t seed) {
  const RecoveryResult result =
      SimulateRecovery({.seed = seed, .keep_trace = true});
  FAIL(DescribeFailure(seed, result.complaint,
                       "//tests/simulation/recovery:recovery_simulation_test",
                       result.trace));
}

struct Totals {
  void Add(const RecoveryResult& result) {
    events += result.events;
    generations += result.generations;
    checkpoints += result.checkpoints;
    failed_checkpoints += result.failed_checkpoints;
    restores += result.restores;
    for (const auto& [kind, count] : result.faults) faults[kind] += count;
    for (const auto& [kind, count] : result.asked) asked[kind] += count;
    ++ends[v1::EndReason_Name(result.status.end_reason())];
    recovery_us_max = std::max(recovery_us_max, result.recovery_us);
  }
  void Print(uint64_t seeds) const {
    std::cout << seeds << " seeds, " << events << " events, " << generations
              << " generations, " << restores << " restores, " << checkpoints
              << " checkpoints, " << failed_checkpoints
              << " that failed; over at most "
              << static_cast<double>(recovery_us_max) * 1e-6
              << " s after the last fault\n";
    for (const auto& [kind, count] : faults) {
      std::cout << "  " << kind << ": " << count << "\n";
    }
    for (const auto& [kind, count] : asked) {
      std::cout << "  checkpoint asked for, " << kind << ": " << count << "\n";
    }
    for (const auto& [reason, count] : ends) {
      std::cout << "  ended by " << reason << ": " << count << "\n";
    }
  }

  int64_t events = 0;
  int64_t generations = 0;
  int64_t checkpoints = 0;
  int64_t failed_checkpoints = 0;
  int64_t restores = 0;
  int64_t recovery_us_max = 0;
  std::map<std::string, int64_t> faults;
  std::map<std::string, int64_t> asked;
  std::map<std::string, int64_t> ends;  // Jobs.
};

TEST_CASE("every job ends with the reference's bits, whatever dies") {
  spdlog::set_level(spdlog::level::off);
  if (std::getenv("TESSERA_SEED") != nullptr) {
    const uint64_t seed = NumberFromEnvironment("TESSERA_SEED", 0);
    const RecoveryResult result =
        SimulateRecovery({.seed = seed, .keep_trace = true});
    std::cout << result.trace;
    INFO("seed " << seed);
    REQUIRE(result.complaint == "");
    return;
  }
  const uint64_t seeds = NumberFromEnvironment("TESSERA_SEEDS", 2000);
  Totals totals;
  for (uint64_t seed = 0; seed < seeds; ++seed) {
    const RecoveryResult result = SimulateRecovery({.seed = seed});
    if (!result.complaint.empty()) FailWithTrace(seed);
    totals.Add(result);
  }
  totals.Print(seeds);
  // A load too small would prove nothing.
  if (seeds < 100) return;
  const auto many = static_cast<int64_t>(seeds);
  REQUIRE(totals.generations > 2 * many);
  REQUIRE(totals.checkpoints > 2 * many);
  REQUIRE(totals.failed_checkpoints > 0);
  REQUIRE(totals.faults.size() >= 18);
  for (const auto& [kind, count] : totals.faults) {
    INFO(kind);
    REQUIRE(count > 0);
  }
  REQUIRE(totals.asked["done"] > many / 2);
  REQUIRE(totals.asked["failed"] > 0);
  REQUIRE(totals.ends["END_REASON_PLATEAU"] > many / 10);
}

TEST_CASE("the same seed gives the same run, another seed another") {
  spdlog::set_level(spdlog::level::off);
  const uint64_t hash = SimulateRecovery({.seed = 5}).trace_hash;
  REQUIRE(SimulateRecovery({.seed = 5}).trace_hash == hash);
  REQUIRE(SimulateRecovery({.seed = 5, .keep_trace = true}).trace_hash == hash);
  REQUIRE(SimulateRecovery({.seed = 8}).trace_hash != hash);
}

}  // namespace
}  // namespace tessera
