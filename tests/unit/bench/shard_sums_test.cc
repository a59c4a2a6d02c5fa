// Sums of gradients that come in pieces, from many sides at once.

#include "worker/bench/shard_sums.h"

#include <catch2/catch.hpp>
#include <random>
#include <vector>

#include "tests/support/status.h"

namespace tessera::bench {
namespace {

constexpr int64_t kBlockElements = 100;

ShardPlan TwoShards() {
  return ShardPlan::Create(6 * kBlockElements, 2, kBlockElements * 4).value();
}

// Small integers, so that sums are exact in any order.
std::vector<float> Gradient(int worker) {
  std::vector<float> g(kBlockElements);
  for (size_t i = 0; i < g.size(); ++i) {
    g[i] = static_cast<float>((i * 7 + static_cast<size_t>(worker) * 13) % 11);
  }
  return g;
}

TEST_CASE("pieces of all sizes, in any order between workers, give the sum") {
  const int workers = GENERATE(1, 2, 3, 5);
  const unsigned seed = GENERATE(1u, 2u, 3u, 4u);
  CAPTURE(workers, seed);
  std::mt19937 random(seed);
  ShardSums sums(TwoShards(), 1, workers, 0.5f);
  constexpr int kBlock = 4;
  for (int64_t step = 0; step < 3; ++step) {
    std::vector<size_t> sent(static_cast<size_t>(workers));
    int finished = 0;
    while (finished < workers) {
      const int w = static_cast<int>(random() % static_cast<unsigned>(workers));
      size_t& at = sent[static_cast<size_t>(w)];
      const std::vector<float> g = Gradient(w);
      if (at == g.size()) continue;
      if (at == 0) REQUIRE_OK(sums.CheckPush(w, kBlock, step));
      const size_t count = std::min<size_t>(1 + random() % 40, g.size() - at);
      sums.Add(w, kBlock, g.data() + at, count);
      at += count;
      if (at < g.size()) continue;
      ++finished;
      REQUIRE(sums.FinishPush(kBlock) == (finished == workers));
    }
    REQUIRE(sums.version(kBlock) == step + 1);
  }
  for (size_t i = 0; i < kBlockElements; ++i) {
    float sum = 0;
    for (int w = 0; w < workers; ++w) sum += Gradient(w)[i];
    REQUIRE(sums.values(kBlock)[i] == -3 * 0.5f * sum);
  }
  // The blocks beside it are as they were.
  for (float x : sums.values(3)) REQUIRE(x == 0);
  for (float x : sums.values(5)) REQUIRE(x == 0);
}

TEST_CASE("a push for another shard, step or time is refused") {
  ShardSums sums(TwoShards(), 1, 2, 1);
  REQUIRE_OK(sums.CheckPush(0, 3, 0));
  REQUIRE_FALSE(sums.CheckPush(0, 2, 0).ok());
  REQUIRE_FALSE(sums.CheckPush(0, 6, 0).ok());
  REQUIRE_FALSE(sums.CheckPush(0, -1, 0).ok());
  REQUIRE_FALSE(sums.CheckPush(0, 3, 1).ok());
  sums.Add(0, 3, Gradient(0).data(), kBlockElements);
  REQUIRE_FALSE(sums.CheckPush(0, 3, 0).ok());
  REQUIRE_OK(sums.CheckPush(1, 3, 0));
}

}  // namespace
}  // namespace tessera::bench
