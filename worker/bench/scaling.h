// The benchmark's second mode: how time per step and memory per server grow.

#ifndef TESSERA_WORKER_BENCH_SCALING_H_
#define TESSERA_WORKER_BENCH_SCALING_H_

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/bench/group_runner.h"
#include "worker/bench/scaling_plan.h"
#include "worker/bench/statistics.h"

namespace tessera::bench {

// Of the server that takes the most.
struct ServerMemory {
  int64_t elements = 0;  // Of its shard.
  // As it says itself.
  int64_t parameter_bytes = 0;
  int64_t older_version_bytes = 0;
  int64_t sum_bytes = 0;
  int64_t optimizer_bytes = 0;
  // Further sums, when most ranges waited at once; not in accounted_bytes.
  int64_t waiting_sum_bytes = 0;
  // As the kernel says: the most that was ever in RAM.
  int64_t peak_resident_bytes = 0;

  int64_t accounted_bytes() const {
    return parameter_bytes + older_version_bytes + sum_bytes + optimizer_bytes;
  }
};

struct ScalingResult {
  struct Line {
    ScalingPoint point;
    Summary step_ms;
    Summary gb_per_second;
    ServerMemory memory;
    int64_t constant_bytes = 0;  // That are allowed on top of the shard.
    bool within_bound() const;
  };
  std::vector<Line> lines;
  std::vector<std::string> left_out;
  int64_t values_checked = 0;

  // Whether every server kept to its bound.
  bool AllWithinBound() const;
};

// Carries out the plan, with progress on standard error. For the main thread
// only. Codes: as Fabric and GetServerInfos.
absl::StatusOr<ScalingResult> RunScaling(const ScalingPlan& plan,
                                         const ScalingOptions& options,
                                         const RunEnvironment& environment);

// Both pure.
std::string FormatScaling(const ScalingResult& result);
nlohmann::json ToJson(const ScalingResult& result);

}  // namespace tessera::bench

#endif  // TESSERA_WORKER_BENCH_SCALING_H_
