// The benchmark's second mode, on paper: what is grown, and how much memory a
// server may take. Pure functions.

#ifndef TESSERA_WORKER_BENCH_SCALING_PLAN_H_
#define TESSERA_WORKER_BENCH_SCALING_PLAN_H_

#include <cstdint>
#include <string>
#include <vector>

#include "worker/bench/point.h"

namespace tessera::bench {

struct ScalingOptions {
  // Each list is grown by itself, with the other two as in the base.
  std::vector<int> servers = {1, 2, 4, 8};
  std::vector<int> workers = {1, 2, 4, 8, 16};
  std::vector<int64_t> parameter_bytes = {int64_t{1} << 20, int64_t{16} << 20,
                                          int64_t{256} << 20, int64_t{1} << 30};
  Shape base = {2, 2};
  int64_t base_bytes = int64_t{64} << 20;

  Path path = Path::kTcp;
  int in_flight = 64;
  double duration_seconds = 0.3;
  int repetitions = 5;
};

enum class Grown { kParameters, kServers, kWorkers };

struct ScalingPoint {
  Grown grown = Grown::kParameters;
  Setting setting;
};

struct ScalingPlan {
  std::vector<ScalingPoint> points;
  std::vector<std::string> left_out;  // Lines for the user, with the reason.
};

// Blocks are of 1 MiB, or smaller so that each server has at least four. Points
// that do not fit into `available_bytes` of memory are left out.
ScalingPlan PlanScaling(const ScalingOptions& options, int64_t available_bytes);

// Memory of all processes of a setting, about.
int64_t ScalingMemoryBytes(const Setting& setting);

// What a server may take on top of its shard, with blocks of at most 1 MiB: the
// program and its libraries (22 MiB measured), and for each worker its
// connection and what is on its way (2 MiB measured), with room for more.
int64_t ServerConstantBytes(int workers);

// What a server with `elements` parameters may take: 4 bytes for each of them,
// 4 for the new version, 4 for the sums, and the optimizer's state.
int64_t ShardBoundBytes(int64_t elements, int64_t optimizer_bytes);

absl::string_view Name(Grown grown);

}  // namespace tessera::bench

#endif  // TESSERA_WORKER_BENCH_SCALING_PLAN_H_
