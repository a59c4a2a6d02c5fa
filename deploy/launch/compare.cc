#include "deploy/launch/compare.h"

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "deploy/report/progress.h"

namespace tessera {
namespace {

int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Whether `part` is 1/n of `whole` to within one unit. The last unit of either
// may be shorter than the others.
bool IsShare(int64_t part, int64_t whole, int64_t n, int64_t unit) {
  if (unit == 0) return part == 0;
  const int64_t units = CeilDiv(part, unit);
  const int64_t all = CeilDiv(whole, unit);
  return all / n <= units && units <= CeilDiv(all, n);
}

}  // namespace

std::string CompareTable(const std::vector<MethodRun>& runs) {
  std::string table =
      absl::StrFormat("%-10s %10s %8s %23s %7s %14s %14s %14s %14s\n", "method",
                      "iterations", "seconds", "final loss", "server",
                      "parameters", "gradients", "optimizer", "push/step");
  for (const MethodRun& run : runs) {
    for (size_t i = 0; i < run.result.servers.size(); ++i) {
      const v1::GetServerInfoResponse& server = run.result.servers[i];
      const std::string front =
          i > 0
              ? absl::StrFormat("%54s", "")
              : absl::StrFormat("%-10s %10s %8.1f %23.17g", run.method,
                                WithCommas(run.result.steps),
                                run.result.seconds, run.result.final_step_loss);
      absl::StrAppendFormat(
          &table, "%s %7d %14s %14s %14s %14s\n", front, i,
          WithCommas(server.memory().parameter_bytes()),
          WithCommas(server.memory().gradient_bytes()),
          WithCommas(server.memory().optimizer_bytes()),
          WithCommas(PushedPerWorkerAndStep(server, run.result.steps)));
    }
  }
  absl::StrAppend(
      &table,
      "Bytes on each server. push/step: payload that a worker sent to the "
      "server in a step,\non average.\n");
  return table;
}

std::string CompareJson(const std::vector<MethodRun>& runs) {
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  for (const MethodRun& run : runs) {
    nlohmann::ordered_json servers = nlohmann::ordered_json::array();
    for (const v1::GetServerInfoResponse& server : run.result.servers) {
      servers.push_back(
          {{"parameter_bytes", server.memory().parameter_bytes()},
           {"gradient_bytes", server.memory().gradient_bytes()},
           {"extra_gradient_bytes", server.memory().extra_gradient_bytes()},
           {"optimizer_bytes", server.memory().optimizer_bytes()},
           {"pushed_bytes_per_worker_and_step",
            PushedPerWorkerAndStep(server, run.result.steps)}});
    }
    all.push_back({{"method", run.method},
                   {"iterations", run.result.steps},
                   {"seconds", run.result.seconds},
                   {"final_step_loss", run.result.final_step_loss},
                   {"test_loss", run.result.test_loss},
                   {"params_sha256", run.result.params_sha256},
                   {"servers", servers}});
  }
  return all.dump(2) + "\n";
}

absl::Status CheckEquivalence(const Job& job, const MethodRun& ddp,
                              const MethodRun& zero) {
  const RunResult& one = ddp.result;
  const RunResult& many = zero.result;
  if (one.steps != many.steps || one.final_step_loss != many.final_step_loss ||
      one.train_loss != many.train_loss || one.test_loss != many.test_loss ||
      one.params_sha256 != many.params_sha256) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "the runs differ: %d steps, final loss %.17g, parameters %s against %d "
        "steps, final loss %.17g, parameters %s",
        one.steps, one.final_step_loss, one.params_sha256, many.steps,
        many.final_step_loss, many.params_sha256));
  }
  const v1::ShardMemory& whole = one.servers[0].memory();
  const auto n = static_cast<int64_t>(many.servers.size());
  const int64_t block = job.block_bytes();
  // Optimizer values for each parameter: 0 to 2.
  const int64_t optimizer_values =
      CeilDiv(whole.optimizer_bytes(), whole.parameter_bytes());
  for (int64_t i = 0; i < n; ++i) {
    const v1::ShardMemory& part = many.servers[i].memory();
    if (!IsShare(part.parameter_bytes(), whole.parameter_bytes(), n, block) ||
        !IsShare(part.gradient_bytes(), whole.gradient_bytes(), n, block) ||
        !IsShare(part.optimizer_bytes(), whole.optimizer_bytes(), n,
                 optimizer_values * block)) {
      return absl::FailedPreconditionError(absl::StrCat(
          "server ", i, " holds ", part.parameter_bytes(), " + ",
          part.gradient_bytes(), " + ", part.optimizer_bytes(),
          " bytes of parameters, gradients and optimizer state, which is not "
          "1/",
          n, " of ", whole.parameter_bytes(), " + ", whole.gradient_bytes(),
          " + ", whole.optimizer_bytes(), " to within a block"));
    }
  }
  return absl::OkStatus();
}

}  // namespace tessera
