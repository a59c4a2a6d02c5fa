// What a child process of the benchmark is told first, as JSON.

#ifndef TESSERA_WORKER_BENCH_CHILD_SETUP_H_
#define TESSERA_WORKER_BENCH_CHILD_SETUP_H_

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/plan/shard_plan.h"
#include "common/rpc/credentials.h"
#include "worker/bench/pipeline.h"
#include "worker/bench/point.h"

namespace tessera::bench {

// What a child is; --internal_role.
inline constexpr char kWorkerRole[] = "worker";
// A worker whose C library's malloc is left as it is.
inline constexpr char kPlainWorkerRole[] = "plain_worker";
inline constexpr char kRawServerRole[] = "raw_server";
inline constexpr char kBaselineServerRole[] = "baseline_server";

struct ChildSetup {
  int index = 0;  // The worker's, or the shard's.
  int64_t elements = 0;
  int64_t block_bytes = 0;
  int shard_count = 1;
  int workers = 1;
  float rate = 1;  // Learning rate.
  v1::Encoding encoding = v1::ENCODING_FLOAT32;

  // Workers only.
  std::vector<Path> paths;
  std::vector<std::string> servers;
  std::string board_file;
  uint64_t job_fingerprint = 0;
  int64_t version = 0;  // Of all blocks.
  ChannelSecurity security;

  // Codes: as ShardPlan::Create.
  absl::StatusOr<ShardPlan> Plan() const;
  // The learning rate over the number of microbatches.
  float unit() const;
};

nlohmann::json ToJson(const ChildSetup& setup);
// Codes: INTERNAL when it is not what ToJson gives.
absl::StatusOr<ChildSetup> SetupFromJson(const nlohmann::json& json);

// One timed run, to a worker.
struct RunRequest {
  Series series;
  int64_t steps = 1;
  int blocks = 0;  // So many of all, evenly spread.
  int in_flight = 1;
  bool keep_latencies = false;
};

nlohmann::json ToJson(const RunRequest& request);
absl::StatusOr<RunRequest> RequestFromJson(const nlohmann::json& json);

// Its answer.
struct WorkerRun {
  PipelineResult pipeline;
  double cpu_seconds = 0;  // Of the worker's process.
};

nlohmann::json ToJson(const WorkerRun& run);
absl::StatusOr<WorkerRun> RunFromJson(const nlohmann::json& json);

// {"error": ..., "code": ...}, and back; OK for anything else.
nlohmann::json ErrorToJson(const absl::Status& status);
absl::Status ErrorFromJson(const nlohmann::json& json);

}  // namespace tessera::bench

#endif  // TESSERA_WORKER_BENCH_CHILD_SETUP_H_
