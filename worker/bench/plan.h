// What a run of the benchmark consists of. Pure functions.

#ifndef TESSERA_WORKER_BENCH_PLAN_H_
#define TESSERA_WORKER_BENCH_PLAN_H_

#include <cstdint>
#include <string>
#include <vector>

#include "worker/bench/options.h"
#include "worker/bench/point.h"

namespace tessera::bench {

// What is measured with one set of processes, in turns.
struct Group {
  Setting setting;
  int in_flight = 1;
  // Of each operation, the ceiling comes first. In every repetition each is
  // measured once, in this order.
  std::vector<Series> throughput;
  // One call at a time.
  std::vector<Series> latency;
};

struct MatrixPlan {
  std::vector<Group> groups;
  // Lines for the user: settings that this machine cannot do, and why.
  std::vector<std::string> left_out;
};

// Blocks of a setting: as many as fill set_bytes, at least 4, and the same
// number on each server.
int BlocksFor(int64_t message_bytes, int servers, int64_t set_bytes);

// How many of a setting's blocks single calls go to, in turn; the same number
// on each server.
int LatencyBlocks(const Setting& setting);

// How long one repetition of single calls is to last.
double LatencySeconds(const BenchOptions& options);

// Settings that would not fit into `available_bytes` of memory are left out,
// and bfloat16 with a number of workers that is no power of two.
MatrixPlan PlanMatrix(const BenchOptions& options, int64_t available_bytes);

// One group, for servers that are there already.
MatrixPlan PlanFor(const Setting& setting, const BenchOptions& options);

// Memory of all processes of one setting, about.
int64_t MemoryBytes(const Setting& setting, const BenchOptions& options);

// How long the plan takes, about: repetitions last what was asked for, or a
// whole step where that takes longer.
double EstimateSeconds(const MatrixPlan& plan, const BenchOptions& options);
double EstimateSeconds(const Group& group, const BenchOptions& options);

}  // namespace tessera::bench

#endif  // TESSERA_WORKER_BENCH_PLAN_H_
