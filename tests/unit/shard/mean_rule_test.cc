// theta <- theta - rate * mean of the gradients, with numbers that one can
// follow by hand.

#include <catch2/catch.hpp>

#include "tests/support/test_job.h"
#include "tests/unit/shard/test_shards.h"

namespace tessera {
namespace {

std::vector<float> Scaled(const std::vector<float>& values, float factor) {
  std::vector<float> scaled;
  for (float value : values) scaled.push_back(value * factor);
  return scaled;
}

std::vector<float> Counting(int n) {
  std::vector<float> values;
  for (int i = 1; i <= n; ++i) values.push_back(static_cast<float>(i));
  return values;
}

TEST_CASE("opposite gradients leave the parameters alone, at any rate") {
  const std::string rate = GENERATE("base: 0.001", "base: 1", "base: 1000");
  const std::vector<float> numbers = Counting(10);
  TestJobOptions options{.parameters = 10, .learning_rate = rate};
  const Job job = MakeTestJob(options);
  TestShards shards(job, MakeTestPlan(job, 1), numbers);
  for (int64_t step = 0; step < 3; ++step) {
    shards.PushAll(step, {0, 1}, Scaled(numbers, -1));
    shards.PushAll(step, {1, 2}, numbers);
    REQUIRE(shards.Parameters() == numbers);
  }
}

TEST_CASE("likewise with two blocks of 3 on two servers") {
  const Job job = MakeTestJob({.parameters = 6, .learning_rate = "base: 1"});
  const auto plan = ShardPlan::Create(6, 2, 3 * sizeof(float));
  REQUIRE(plan.ok());
  const std::vector<float> numbers = Counting(6);
  TestShards shards(job, *plan, numbers);
  const std::vector<float> each_block = {1, 2, 3, 1, 2, 3};
  shards.PushAll(0, {1, 2}, each_block);
  REQUIRE(shards.Parameters() == numbers);
  shards.PushAll(0, {0, 1}, Scaled(each_block, -1));
  REQUIRE(shards.Parameters() == numbers);
  REQUIRE(shards.store(0).Stats().version_min == 1);
  REQUIRE(shards.store(1).Stats().version_min == 1);
}

TEST_CASE("the mean is over microbatches: sum of g over n, times the rate") {
  const Job job = MakeTestJob(
      {.parameters = 4, .microbatches = 4, .learning_rate = "base: 0.5"});
  TestShards shards(job, MakeTestPlan(job, 1), Counting(4));
  // The mean is 4 in each element: 1, 2, 3 and 10 sum to 16.
  const std::vector<float> gradients = {10, 2, 1, 3};
  for (int m = 0; m < 4; ++m) {
    shards.PushAll(0, {m, m + 1},
                   std::vector<float>(4, gradients[static_cast<size_t>(m)]));
  }
  REQUIRE(shards.Parameters() == std::vector<float>{-1, 0, 1, 2});
}

}  // namespace
}  // namespace tessera
