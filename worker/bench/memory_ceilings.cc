#include "worker/bench/memory_ceilings.h"

#include <cstddef>
#include <cstring>
#include <functional>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "worker/bench/shard_sums.h"

namespace tessera::bench {
namespace {

constexpr size_t kLargeBytes = size_t{256} << 20;
constexpr size_t kSmallBytes = size_t{1} << 20;
// Enough of a small buffer that starting and stopping the clock is nothing.
constexpr int kSmallRounds = 100;
constexpr int kRepetitions = 5;

double GbPerSecond(size_t bytes, int rounds,
                   const std::function<void()>& round) {
  const absl::Time begin = absl::Now();
  for (int i = 0; i < rounds; ++i) {
    round();
    // So that the compiler takes no two rounds for one.
    asm volatile("" ::: "memory");
  }
  const double seconds = absl::ToDoubleSeconds(absl::Now() - begin);
  return static_cast<double>(bytes) * rounds / seconds / 1e9;
}

// Copying and adding in turns.
void Measure(size_t bytes, int rounds, Summary& copy, Summary& accumulate) {
  const size_t count = bytes / sizeof(float);
  std::vector<float> from(count, 1.0f);
  std::vector<float> to(count, 2.0f);
  std::vector<double> copies;
  std::vector<double> sums;
  for (int i = 0; i < kRepetitions; ++i) {
    copies.push_back(GbPerSecond(
        bytes, rounds, [&] { std::memcpy(to.data(), from.data(), bytes); }));
    sums.push_back(GbPerSecond(
        bytes, rounds, [&] { Accumulate(from.data(), count, to.data()); }));
  }
  copy = Summarize(copies);
  accumulate = Summarize(sums);
}

}  // namespace

MemoryCeilings MeasureMemory() {
  MemoryCeilings result;
  Measure(kLargeBytes, 1, result.copy_large, result.accumulate_large);
  Measure(kSmallBytes, kSmallRounds, result.copy_small,
          result.accumulate_small);
  return result;
}

}  // namespace tessera::bench
