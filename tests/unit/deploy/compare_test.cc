#include "deploy/launch/compare.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "tests/support/status.h"
#include "tests/support/test_job.h"

namespace tessera {
namespace {

using nlohmann::json;

constexpr auto kDiffer = absl::StatusCode::kFailedPrecondition;
constexpr int64_t kBlock = 64;

v1::GetServerInfoResponse Server(int64_t parameters, int64_t optimizer) {
  v1::GetServerInfoResponse server;
  server.mutable_memory()->set_parameter_bytes(parameters);
  server.mutable_memory()->set_gradient_bytes(parameters);
  server.mutable_memory()->set_extra_gradient_bytes(1234);
  server.mutable_memory()->set_optimizer_bytes(optimizer);
  v1::PeerTraffic& traffic = *server.add_traffic();
  traffic.set_pushes(100);
  traffic.set_pushed_bytes(100 * parameters);
  return server;
}

// A run of 100 steps; momentum, so the optimizer's state is as large as the
// parameters.
MethodRun Run(const std::string& method, const std::vector<int64_t>& bytes) {
  MethodRun run{method,
                {.steps = 100,
                 .train_loss = 0.25,
                 .final_step_loss = 0.125,
                 .test_loss = 0.5,
                 .seconds = 1.5,
                 .params_sha256 = "abc"}};
  for (int64_t part : bytes) run.result.servers.push_back(Server(part, part));
  return run;
}

MethodRun Ddp() { return Run("DDP", {10 * kBlock}); }
MethodRun Zero() {
  return Run("ZeRO x 3", {4 * kBlock, 3 * kBlock, 3 * kBlock});
}

absl::Status Equivalence(const MethodRun& zero) {
  return CheckEquivalence(MakeTestJob({.block_bytes = kBlock}), Ddp(), zero);
}

TEST_CASE("equal bits and even shards pass") {
  REQUIRE_OK(Equivalence(Zero()));
}

TEST_CASE("what a plan gives passes, however short the last block") {
  const int parameters = GENERATE(range(48, 240));
  const int servers = GENERATE(2, 3, 7);
  const int64_t optimizer_values = GENERATE(0, 1, 2);
  const Job job = MakeTestJob({.parameters = 10, .block_bytes = kBlock});
  const auto plan = ShardPlan::Create(parameters, servers, kBlock);
  if (!plan.ok()) return;  // More servers than blocks.
  MethodRun ddp = Run("DDP", {});
  ddp.result.servers = {
      Server(4 * parameters, 4 * parameters * optimizer_values)};
  MethodRun zero = Run("ZeRO", {});
  for (int i = 0; i < servers; ++i) {
    const int64_t bytes = 4 * plan->ShardElements(i).size();
    zero.result.servers.push_back(Server(bytes, bytes * optimizer_values));
  }
  CAPTURE(parameters, servers, optimizer_values);
  REQUIRE_OK(CheckEquivalence(job, ddp, zero));
}

TEST_CASE("a loss that differs in its last bit fails") {
  const auto loss =
      GENERATE(&RunResult::train_loss, &RunResult::final_step_loss,
               &RunResult::test_loss);
  MethodRun zero = Zero();
  zero.result.*loss = std::nextafter(zero.result.*loss, 1);
  REQUIRE_ERROR(Equivalence(zero), kDiffer, "the runs differ");
}

TEST_CASE("parameters or steps that differ fail") {
  MethodRun zero = Zero();
  zero.result.params_sha256 = "abd";
  REQUIRE_ERROR(Equivalence(zero), kDiffer, "abc", "abd");
  zero = Zero();
  zero.result.steps = 99;
  REQUIRE_ERROR(Equivalence(zero), kDiffer, "100 steps", "99 steps");
}

TEST_CASE("two runs that both diverged are not the same") {
  MethodRun ddp = Ddp();
  MethodRun zero = Zero();
  ddp.result.final_step_loss = zero.result.final_step_loss = NAN;
  REQUIRE_ERROR(
      CheckEquivalence(MakeTestJob({.block_bytes = kBlock}), ddp, zero),
      kDiffer, "nan");
}

TEST_CASE("a server that holds a block too much or too little fails") {
  REQUIRE_ERROR(
      Equivalence(Run("ZeRO x 3", {5 * kBlock, 3 * kBlock, 2 * kBlock})),
      kDiffer, "server 0 holds", "1/3");
  REQUIRE_ERROR(
      Equivalence(Run("ZeRO x 3", {4 * kBlock, 4 * kBlock, 2 * kBlock})),
      kDiffer, "server 2 holds");
  // Replicated, not partitioned.
  REQUIRE_ERROR(
      Equivalence(Run("ZeRO x 3", {10 * kBlock, 10 * kBlock, 10 * kBlock})),
      kDiffer, "server 0 holds");
}

TEST_CASE("optimizer state is compared too") {
  MethodRun zero = Zero();
  zero.result.servers[1].mutable_memory()->set_optimizer_bytes(10 * kBlock);
  REQUIRE_ERROR(Equivalence(zero), kDiffer, "server 1 holds");
}

TEST_CASE("the table is aligned and has a line for each server") {
  MethodRun zero = Zero();
  zero.result.steps = 1234567;
  zero.result.final_step_loss = 1.0 / 3 * 1e-5;
  const std::string table = CompareTable({Ddp(), zero});
  std::vector<std::string> lines = absl::StrSplit(table, '\n');
  REQUIRE(lines.size() >= 5);
  for (int i = 0; i < 5; ++i) {
    CAPTURE(table);
    REQUIRE(lines[i].size() == lines[0].size());
  }
  for (const char* word : {"method", "iterations", "seconds", "final loss",
                           "parameters", "gradients", "optimizer", "DDP",
                           "ZeRO x 3", "1,234,567", "640", "1,234"}) {
    CAPTURE(table, word);
    REQUIRE(absl::StrContains(table, word));
  }
}

TEST_CASE("the JSON has the table's numbers") {
  const json all = json::parse(CompareJson({Ddp(), Zero()}));
  REQUIRE(all.size() == 2);
  REQUIRE(all[0]["method"] == "DDP");
  REQUIRE(all[0]["iterations"] == 100);
  REQUIRE(all[0]["final_step_loss"] == 0.125);
  REQUIRE(all[0]["params_sha256"] == "abc");
  REQUIRE(all[0]["servers"].size() == 1);
  REQUIRE(all[1]["servers"].size() == 3);
  const json& server = all[1]["servers"][0];
  REQUIRE(server["parameter_bytes"] == 4 * kBlock);
  REQUIRE(server["extra_gradient_bytes"] == 1234);
  REQUIRE(server["optimizer_bytes"] == 4 * kBlock);
  REQUIRE(server["pushed_bytes_per_worker_and_step"] == 4 * kBlock);
}

}  // namespace
}  // namespace tessera
