#include "server/shard/learning_rate.h"

#include <catch2/catch.hpp>

#include "tests/support/test_job.h"

namespace tessera {
namespace {

// The rate at a step under a schedule, of a job of 100 steps.
double RateAt(const std::string& schedule, int64_t step) {
  const Job job = MakeTestJob({.steps = 100, .learning_rate = schedule});
  return LearningRateAt(job.proto().learning_rate(), step);
}

TEST_CASE("a constant rate is the base") {
  REQUIRE(RateAt("base: 0.5", 0) == 0.5);
  REQUIRE(RateAt("base: 0.5 constant {}", 99) == 0.5);
}

TEST_CASE("step decay falls at each multiple") {
  const std::string schedule = "base: 1 step { every_steps: 10 factor: 0.5 }";
  REQUIRE(RateAt(schedule, 0) == 1);
  REQUIRE(RateAt(schedule, 9) == 1);
  REQUIRE(RateAt(schedule, 10) == 0.5);
  REQUIRE(RateAt(schedule, 39) == 0.125);
}

TEST_CASE("cosine decay goes from base to final, over the job by default") {
  const std::string schedule = "base: 1 cosine { final: 0.25 }";
  REQUIRE(RateAt(schedule, 0) == 1);
  REQUIRE(RateAt(schedule, 50) == Approx(0.625));
  REQUIRE(RateAt(schedule, 25) == Approx(0.25 + 0.75 * (1 + 0.70710678) / 2));
  REQUIRE(RateAt(schedule, 100) == Approx(0.25));
  REQUIRE(RateAt(schedule, 1000) == Approx(0.25));
  REQUIRE(RateAt("base: 1 cosine { steps: 10 }", 5) == Approx(0.5));
}

TEST_CASE("warm-up multiplies whatever the decay gives") {
  REQUIRE(RateAt("base: 1 warmup_steps: 4", 0) == 0.25);
  REQUIRE(RateAt("base: 1 warmup_steps: 4", 3) == 1);
  REQUIRE(RateAt("base: 1 warmup_steps: 4", 4) == 1);
  const std::string both =
      "base: 1 warmup_steps: 4 step { every_steps: 2 factor: 0.5 }";
  REQUIRE(RateAt(both, 2) == 0.75 * 0.5);
  REQUIRE(RateAt(both, 4) == 0.25);
}

}  // namespace
}  // namespace tessera
