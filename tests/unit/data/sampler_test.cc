#include "worker/data/sampler.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <numeric>
#include <random>
#include <vector>

#include "tests/support/test_job.h"

namespace tessera {
namespace {

// 103 samples: 8 batches of 12, with 7 samples left over.
Job SmallJob(uint64_t seed, int microbatches) {
  return MakeTestJob({.microbatches = microbatches,
                      .samples_per_microbatch = 12 / microbatches,
                      .seed = seed,
                      .train_examples = 103});
}

std::vector<int64_t> Draw(Sampler& sampler, int64_t step, int microbatch) {
  const auto indices = sampler.Microbatch(step, microbatch);
  return {indices.begin(), indices.end()};
}

// All indices of a step's batch.
std::vector<int64_t> DrawStep(Sampler& sampler, int64_t step,
                              int microbatches) {
  std::vector<int64_t> batch;
  for (int m = 0; m < microbatches; ++m) {
    const auto part = Draw(sampler, step, m);
    batch.insert(batch.end(), part.begin(), part.end());
  }
  return batch;
}

TEST_CASE("an epoch visits each sample at most once, in whole batches") {
  const Job job = SmallJob(1, 4);
  REQUIRE(job.steps_per_epoch() == 8);
  Sampler sampler(job);
  for (int64_t epoch : {0, 1, 1000000}) {
    std::vector<int> visits(103);
    for (int64_t step = 8 * epoch; step < 8 * (epoch + 1); ++step) {
      for (int64_t index : DrawStep(sampler, step, 4)) ++visits.at(index);
    }
    REQUIRE(std::accumulate(visits.begin(), visits.end(), 0) == 96);
    REQUIRE(*std::max_element(visits.begin(), visits.end()) == 1);
  }
}

TEST_CASE("every sample is left out now and then, but not for long") {
  const Job job = SmallJob(2, 1);
  Sampler sampler(job);
  std::vector<int> visits(103);
  constexpr int kEpochs = 200;
  for (int64_t step = 0; step < 8 * kEpochs; ++step) {
    for (int64_t index : Draw(sampler, step, 0)) ++visits[index];
  }
  // Left out with probability 7/103 an epoch: 13.6 times, deviation 3.6.
  for (int count : visits) {
    REQUIRE(count < kEpochs);
    REQUIRE(count > kEpochs - 36);
  }
}

TEST_CASE("a draw depends on seed, step and microbatch, not on earlier draws") {
  const Job job = SmallJob(3, 4);
  Sampler in_order(job);
  std::vector<std::vector<int64_t>> expected;
  for (int64_t step = 0; step < 40; ++step) {
    for (int m = 0; m < 4; ++m) expected.push_back(Draw(in_order, step, m));
  }
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  Sampler shuffled(job);
  for (int i = 0; i < 300; ++i) {
    const size_t at = random() % expected.size();
    REQUIRE(Draw(shuffled, static_cast<int64_t>(at / 4),
                 static_cast<int>(at % 4)) == expected[at]);
  }
  Sampler fresh(job);
  REQUIRE(Draw(fresh, 39, 3) == expected.back());
}

TEST_CASE("how a step is cut does not change its samples") {
  Sampler one(SmallJob(4, 1));
  Sampler six(SmallJob(4, 6));
  for (int64_t step : {0, 7, 8, 25}) {
    REQUIRE(DrawStep(one, step, 1) == DrawStep(six, step, 6));
  }
}

TEST_CASE("epochs and seeds give different orders") {
  Sampler sampler(SmallJob(5, 1));
  Sampler other(SmallJob(6, 1));
  REQUIRE(Draw(sampler, 0, 0) != Draw(sampler, 8, 0));
  REQUIRE(Draw(sampler, 0, 0) != Draw(other, 0, 0));
  // Epochs that agree in their low 32 bits.
  const int64_t far = (int64_t{1} << 32) * 8;
  REQUIRE(Draw(sampler, 0, 0) != Draw(sampler, far, 0));
}

}  // namespace
}  // namespace tessera
