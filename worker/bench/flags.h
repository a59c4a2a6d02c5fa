// The benchmark's command line. For its main function.

#ifndef TESSERA_WORKER_BENCH_FLAGS_H_
#define TESSERA_WORKER_BENCH_FLAGS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/bench/options.h"
#include "worker/bench/scaling_plan.h"

namespace tessera::bench {

// The file that defines the flags, for ParseFlags.
extern const char kBenchFlagsFile[];

enum class Mode {
  kMatrix,
  kScaling,
  kServeRaw,  // Be a raw TCP server for benchmarks on other machines.
  kWriteJob,  // For Tessera's servers on other machines.
  kChild,     // Started by a benchmark.
};

// What the flags say, after ParseFlags; only what the mode needs is filled in.
struct BenchFlags {
  Mode mode = Mode::kMatrix;
  BenchOptions matrix;
  ScalingOptions scaling;
  std::string json_out;
  std::string svg_out;
  std::string server_binary;  // Empty for the usual one.
  std::vector<std::string> servers_at;
  std::vector<std::string> raw_servers_at;
  bool force = false;
  std::string serve_raw;  // Address.
  int shard = 0;          // With it.
  std::string write_job;  // File.
  std::string child_role;
  int child_control = -1;  // A descriptor.
};

// Codes: INVALID_ARGUMENT, naming the flag and what would be right.
absl::StatusOr<BenchFlags> ReadBenchFlags();

}  // namespace tessera::bench

#endif  // TESSERA_WORKER_BENCH_FLAGS_H_
