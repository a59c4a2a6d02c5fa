// Whole jobs on a GPU, which is the stand-in: real processes and connections.

#include <signal.h>

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

// Flags of the launcher. Whatever is not on the stand-in must be on the CPU,
// also on a machine that has a GPU.
constexpr char kCpuServers[] = "--server_flags=--device=cpu";
constexpr char kCpuWorkers[] = "--worker_flags=--device=cpu";

std::vector<std::string> GpuWorkers(const std::string& more_flags = "") {
  return {kCpuServers,
          "--worker_binary=tests/integration/device/worker_on_stand_in",
          absl::StrCat("--worker_flags=--device=cuda ", more_flags)};
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
  const Trained alone = Train(1, 1, GpuWorkers());
  REQUIRE(Train(2, 3, GpuWorkers()).sha256 == alone.sha256);
  // Gradients then come from pinned memory; else from memory that is shared.
  REQUIRE(Train(2, 1, GpuWorkers("--shared_memory=off")).sha256 ==
          alone.sha256);
}

TEST_CASE("a GPU trains to what a CPU does, but for the order of sums") {
  const Trained gpu = Train(2, 1, GpuWorkers());
  const Trained cpu = Train(2, 1, {kCpuServers, kCpuWorkers});
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

TEST_CASE("a server on a GPU gives a CPU's bits, also after it died") {
  const std::string job = WriteSmallJob(
      {.steps = 400, .extra = "operation { checkpoint { every_steps: 50 } }"});
  LaunchRun cpu(job, 2, 2, {kCpuServers, kCpuWorkers});
  cpu.RequireSuccess();
  LaunchRun gpu(job, 2, 2,
                {"--server_binary=tests/integration/device/server_on_stand_in",
                 "--server_flags=--device=cuda", kCpuWorkers});
  REQUIRE(Eventually([&] { return gpu.StepsSeen() > 60; }));
  const auto servers =
      Descendants(gpu.command().pid(), std::string("--shard=1") + '\0');
  REQUIRE(servers.size() == 1);
  kill(servers[0], SIGKILL);
  gpu.RequireSuccess();
  REQUIRE(gpu.Summary()["recoveries"] == 1);
  REQUIRE(gpu.Summary()["params_sha256"] == cpu.Summary()["params_sha256"]);
}

TEST_CASE("servers and workers say what they compute on") {
  LaunchRun run(
      WriteSmallJob({.steps = 2}), 1, 1,
      {"--server_binary=tests/integration/device/server_on_stand_in",
       "--worker_binary=tests/integration/device/worker_on_stand_in"});
  run.RequireSuccess();
  for (const char* name : {"server-0", "worker-0"}) {
    const auto log =
        ReadFile(absl::StrCat(run.run_dir(), "/logs/", name, ".log"));
    REQUIRE_OK(log);
    INFO(*log);
    REQUIRE(absl::StrContains(*log, "device Stand-in GPU"));
  }
}

}  // namespace
}  // namespace tessera
