// What the benchmark found.

#ifndef TESSERA_WORKER_BENCH_RESULT_H_
#define TESSERA_WORKER_BENCH_RESULT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "worker/bench/point.h"
#include "worker/bench/statistics.h"

namespace tessera::bench {

// GB are 10^9 bytes of payload, pushed plus pulled, counted as float32.
struct Throughput {
  Summary gb_per_second;
  // Over the ceiling's of the same repetition and operation; the median.
  std::optional<double> share_of_raw;
  Summary cpu_seconds_per_gb;
  std::vector<double> repetitions;  // GB/s of each.
};

// Of single calls, one at a time.
struct Latency {
  double p50_us = 0;
  double p99_us = 0;
  int64_t samples = 0;
  // p50 over that of the ceiling's push followed by a pull; push-pull only.
  std::optional<double> share_of_raw;
};

struct SeriesResult {
  Setting setting;
  Series series;
  int in_flight = 1;
  std::optional<Throughput> throughput;
  std::optional<Latency> latency;
};

// GB/s of one core on float32 arrays; each byte read or written counts once per
// element moved: n values copied or added are 4 n bytes.
struct MemoryCeilings {
  Summary copy_large;        // 256 MiB.
  Summary accumulate_large;  // acc[i] += x[i].
  Summary copy_small;        // 1 MiB, in a cache.
  Summary accumulate_small;
};

struct BenchResult {
  std::vector<SeriesResult> series;
  MemoryCeilings memory;
  std::vector<std::string> left_out;
  int64_t values_checked = 0;
  double seconds = 0;
  // What it ran on, for whoever reads the JSON later.
  std::string machine;
};

}  // namespace tessera::bench

#endif  // TESSERA_WORKER_BENCH_RESULT_H_
