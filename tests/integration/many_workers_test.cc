// As many worker processes as a small cluster has.

#include <signal.h>

#include <catch2/catch.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/substitute.h"
#include "common/base/file.h"
#include "tests/integration/job_run.h"
#include "tests/support/status.h"
#include "worker/client/coordinator_client.h"

namespace tessera {
namespace {

constexpr int kWorkers = 64;

// 32 parameters in two blocks, and a microbatch for everyone.
constexpr char kJob[] = R"pb(
  name: "many"
  data_set {
    generated_linear {
      features: 31
      train_examples: 4096
      test_examples: 64
      noise_stddev: 0.1
    }
  }
  model {
    layers { dense {} }
    loss: LOSS_MEAN_SQUARED_ERROR
  }
  batch_size: 512
  microbatches: 64
  optimizer { sgd { momentum: 0.9 } }
  learning_rate { base: 0.001 }
  block_bytes: 64
  seed: 5
  stop { steps: $0 }
  evaluation { every_steps: 1000 }
)pb";

std::string WriteJob(int64_t steps) {
  const std::string path = NewScratchFolder() + "/job.textproto";
  REQUIRE_OK(WriteFileAtomically(path, absl::Substitute(kJob, steps)));
  return path;
}

// Workers that have had microbatches counted.
int Contributors(const v1::GetStatusResponse& status) {
  int count = 0;
  for (const v1::WorkerStatus& worker : status.workers()) {
    count += worker.microbatches_done() > 0;
  }
  return count;
}

TEST_CASE("64 workers share a job, and the bits are those of one") {
  LaunchRun run(WriteJob(1000000), 2, kWorkers);
  std::string address;
  REQUIRE(Eventually([&] {
    address = run.ServerAddress(0);
    return !address.empty();
  }));
  const auto coordinator = CoordinatorClient::Create({.server = address});
  int contributors = 0;
  REQUIRE(Eventually([&] {
    const auto status = coordinator->GetStatus();
    REQUIRE_OK(status);
    contributors = Contributors(*status);
    return contributors == kWorkers || !IsAlive(run.command().pid());
  }));
  INFO(run.command().Output());
  REQUIRE(contributors == kWorkers);
  run.command().Signal(SIGINT);
  const auto ending = run.command().Wait();
  REQUIRE(ending.has_value());
  REQUIRE(ending->exit_status == 130);
  for (int worker = 0; worker < kWorkers; ++worker) {
    const auto log =
        ReadFile(absl::StrCat(run.run_dir(), "/logs/worker-", worker, ".log"));
    REQUIRE_OK(log);
    INFO(*log);
    REQUIRE(log->find("[error]") == std::string::npos);
    REQUIRE(log->find("the job has ended") != std::string::npos);
  }
  LaunchRun alone(WriteJob(run.Summary()["steps"]), 1, 1);
  alone.RequireSuccess();
  REQUIRE(run.Summary()["params_sha256"] == alone.Summary()["params_sha256"]);
}

}  // namespace
}  // namespace tessera
