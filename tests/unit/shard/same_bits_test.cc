// The parameters depend on the job alone: not on the order of pushes, on how
// many workers share the microbatches, or on how the vector is cut.

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <random>
#include <utility>
#include <vector>

#include "common/tensor/bfloat16.h"
#include "tests/support/status.h"
#include "tests/support/test_job.h"
#include "tests/unit/shard/test_shards.h"

namespace tessera {
namespace {

constexpr int64_t kParameters = 1000;
constexpr int64_t kSteps = 6;

struct PlannedPush {
  int block;
  const std::vector<float>* gradient;
  MicrobatchRange range;
};

// The ranges of `workers` workers who share M microbatches as evenly as nodes
// of the tree allow.
std::vector<MicrobatchRange> RangesOf(const ReductionTree& tree, int workers) {
  const int share = (tree.microbatches() + workers - 1) / workers;
  std::vector<MicrobatchRange> ranges;
  for (int begin = 0; begin < tree.microbatches();) {
    ranges.push_back(tree.LargestNodeAt(begin, tree.microbatches(), share));
    begin = ranges.back().end;
  }
  return ranges;
}

Job TestJob(const std::string& optimizer, int64_t block_bytes = 64,
            const std::string& wire = "") {
  return MakeTestJob({.parameters = kParameters,
                      .microbatches = 7,
                      .block_bytes = block_bytes,
                      .seed = 3,
                      .optimizer = optimizer,
                      .wire = wire});
}

// Each step's pushes in an order of their own, with repeats.
void Train(TestShards& shards, int workers, uint64_t seed) {
  std::mt19937_64 random(seed);
  const ReductionTree& tree = shards.job().tree();
  if (shards.job().pushes_single_microbatches()) workers = tree.microbatches();
  for (int64_t step = 0; step < kSteps; ++step) {
    std::vector<std::pair<MicrobatchRange, std::vector<float>>> gradients;
    for (const MicrobatchRange& range : RangesOf(tree, workers)) {
      gradients.emplace_back(range, TreeSum(tree, step, range, kParameters));
    }
    std::vector<PlannedPush> pushes;
    for (int block = 0; block < shards.plan().block_count(); ++block) {
      for (const auto& [range, gradient] : gradients) {
        pushes.push_back({block, &gradient, range});
        if (random() % 4 == 0) pushes.push_back(pushes.back());
      }
    }
    std::shuffle(pushes.begin(), pushes.end(), random);
    for (const PlannedPush& push : pushes) {
      REQUIRE_OK(shards.Push(push.block, step, push.range, *push.gradient));
    }
  }
}

TEST_CASE("all orders, groupings and cuts end with the same bits") {
  const std::string optimizer =
      GENERATE("sgd { momentum: 0.9 }", "adamw {} weight_decay: 0.01");
  CAPTURE(optimizer);
  const Job job = TestJob(optimizer);
  TestShards reference(job, MakeTestPlan(job, 1));
  for (int64_t step = 0; step < kSteps; ++step) {
    reference.PushAll(
        step, job.tree().root(),
        TreeSum(job.tree(), step, job.tree().root(), kParameters));
  }
  const std::vector<float> expected = reference.Parameters();

  const int64_t block_bytes = GENERATE(64, 448, 4096);
  const Job cut = TestJob(optimizer, block_bytes);
  // One block of 4096 bytes cannot be shared.
  const int shard_count = GENERATE(1, 2, 3);
  if (block_bytes == 4096 && shard_count > 1) return;
  const int workers = GENERATE(1, 2, 4);
  const uint64_t seed = GENERATE(take(2, random(1, 1 << 30)));
  CAPTURE(block_bytes, shard_count, workers, seed);
  TestShards shards(cut, MakeTestPlan(cut, shard_count));
  Train(shards, workers, seed);
  REQUIRE(shards.Parameters() == expected);
}

TEST_CASE("rounded gradients are summed as the float32 values that they are") {
  const std::string wire =
      GENERATE("push: ENCODING_BFLOAT16",
               "push: ENCODING_BFLOAT16 pull: ENCODING_BFLOAT16");
  CAPTURE(wire);
  const Job job = TestJob("adamw {}", 64, wire);
  // What the formula of Wire says: microbatches rounded, all else float32.
  const Job exact = TestJob("adamw {}");
  TestShards reference(exact, MakeTestPlan(exact, 1));
  for (int64_t step = 0; step < kSteps; ++step) {
    for (int m = 0; m < job.microbatches(); ++m) {
      std::vector<float> gradient = TestGradient(step, m, kParameters);
      for (float& value : gradient) value = FromBfloat16(ToBfloat16(value));
      reference.PushAll(step, {m, m + 1}, gradient);
    }
  }
  const Job cut = TestJob("adamw {}", GENERATE(64, 448), wire);
  const int shard_count = GENERATE(1, 2);
  const uint64_t seed = GENERATE(take(3, random(1, 1 << 30)));
  CAPTURE(shard_count, seed);
  TestShards shards(cut, MakeTestPlan(cut, shard_count));
  Train(shards, 1, seed);
  REQUIRE(shards.Parameters() == reference.Parameters());
}

TEST_CASE("the state's hash is that of any other order and grouping") {
  const Job job = TestJob("adamw {}");
  const uint64_t seed = GENERATE(take(3, random(1, 1 << 30)));
  CAPTURE(seed);
  TestShards one(job, MakeTestPlan(job, 2));
  TestShards four(job, MakeTestPlan(job, 2));
  Train(one, 1, seed);
  Train(four, 4, seed + 1);
  // All are at version kSteps; one may still hold the version before.
  one.PushAll(kSteps, {0, 4}, TreeSum(job.tree(), kSteps, {0, 4}, kParameters));
  for (const MicrobatchRange& range : RangesOf(ReductionTree(4), 4)) {
    four.PushAll(kSteps, range,
                 TreeSum(job.tree(), kSteps, range, kParameters));
  }
  REQUIRE(one.StateHashes() == four.StateHashes());
}

TEST_CASE("every microbatch of every step counts exactly once") {
  const uint64_t seed = GENERATE(take(30, random(1, 1 << 30)));
  std::mt19937_64 random(seed);
  const int microbatches = 1 + static_cast<int>(random() % 16);
  CAPTURE(seed, microbatches);
  const Job job = MakeTestJob({.parameters = 40,
                               .microbatches = microbatches,
                               .learning_rate = "base: 1"});
  TestShards shards(job, MakeTestPlan(job, 2), std::vector<float>(40));
  // Microbatch m of step t gives 2^((m + t) mod M): each step sums to 2^M - 1.
  const auto sum = [&](int64_t step, const MicrobatchRange& range) {
    float total = 0;
    for (int m = range.begin; m < range.end; ++m) {
      total += std::ldexp(1.0f, static_cast<int>((m + step) % microbatches));
    }
    return std::vector<float>(40, total);
  };
  constexpr int64_t kLedgerSteps = 5;
  for (int block = 0; block < shards.plan().block_count(); ++block) {
    int64_t step = 0;
    while (step < kLedgerSteps) {
      const int begin = static_cast<int>(random() % microbatches);
      const int size = 1 + static_cast<int>(random() % microbatches);
      // Now and then a late repeat of a step that is over.
      const int64_t of = step > 0 && random() % 5 == 0 ? step - 1 : step;
      const MicrobatchRange range =
          job.tree().LargestNodeAt(begin, microbatches, size);
      const auto pushed = shards.Push(block, of, range, sum(of, range));
      REQUIRE_OK(pushed);
      step = pushed->newest_version;
    }
  }
  const double expected =
      -kLedgerSteps * (std::ldexp(1.0, microbatches) - 1) / microbatches;
  for (float value : shards.Parameters()) {
    // Nearer than a part of the smallest gradient.
    REQUIRE(std::abs(value - expected) * microbatches < 0.25);
  }
}

}  // namespace
}  // namespace tessera
