// Whole jobs whose workers compute on a GPU, which is the stand-in: real
// servers, real connections.

#include <catch2/catch.hpp>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "deploy/report/safetensors.h"
#include "tests/integration/job_run.h"
#include "tests/support/status.h"

namespace tessera {
namespace {

struct Trained {
  std::string sha256;
  double train_loss = 0;
  std::vector<NamedTensor> parameters;
};

Trained Train(int servers, int workers, const std::vector<std::string>& flags) {
  LaunchRun run(WriteSmallJob({}), servers, workers, flags);
  run.RequireSuccess();
  const nlohmann::json summary = run.Summary();
  auto parameters = ReadSafetensors(run.run_dir() + "/params.safetensors");
  REQUIRE_OK(parameters);
  return {.sha256 = summary["params_sha256"],
          .train_loss = summary["train_loss"],
          .parameters = *std::move(parameters)};
}

Trained TrainOnGpu(int servers, int workers,
                   const std::string& more_worker_flags = "") {
  return Train(
      servers, workers,
      {"--worker_binary=tests/integration/device/worker_on_stand_in",
       absl::StrCat("--worker_flags=--device=cuda ", more_worker_flags)});
}

// Euclidean, of the difference and of the second.
double RelativeDistance(const NamedTensor& a, const NamedTensor& b) {
  REQUIRE(a.values.size() == b.values.size());
  double distance = 0;
  double norm = 0;
  for (size_t i = 0; i < a.values.size(); ++i) {
    const double difference = a.values[i] - b.values[i];
    distance += difference * difference;
    norm += double{b.values[i]} * b.values[i];
  }
  return std::sqrt(distance / norm);
}

TEST_CASE("a GPU trains to the same bits, whoever computes what") {
  const Trained alone = TrainOnGpu(1, 1);
  REQUIRE(TrainOnGpu(2, 3).sha256 == alone.sha256);
  // Gradients then come from pinned memory; else from memory that is shared.
  REQUIRE(TrainOnGpu(2, 1, "--shared_memory=off").sha256 == alone.sha256);
}

TEST_CASE("a GPU trains to what a CPU does, but for the order of sums") {
  const Trained gpu = TrainOnGpu(2, 1);
  const Trained cpu = Train(2, 1, {"--worker_flags=--device=cpu"});
  // Else this was no GPU.
  REQUIRE(gpu.sha256 != cpu.sha256);
  REQUIRE(gpu.train_loss == Approx(cpu.train_loss).epsilon(1e-3));
  REQUIRE(gpu.parameters.size() == cpu.parameters.size());
  for (size_t i = 0; i < gpu.parameters.size(); ++i) {
    INFO(cpu.parameters[i].name);
    REQUIRE(gpu.parameters[i].name == cpu.parameters[i].name);
    REQUIRE(RelativeDistance(gpu.parameters[i], cpu.parameters[i]) < 1e-4);
  }
}

TEST_CASE("a worker says what it computes on") {
  LaunchRun run(WriteSmallJob({.steps = 2}), 1, 1,
                {"--worker_binary=tests/integration/device/worker_on_stand_in",
                 "--worker_flags=--device=auto"});
  run.RequireSuccess();
  const auto log = ReadFile(run.run_dir() + "/logs/worker-0.log");
  REQUIRE_OK(log);
  INFO(*log);
  REQUIRE(absl::StrContains(*log, "device Stand-in GPU"));
}

}  // namespace
}  // namespace tessera
