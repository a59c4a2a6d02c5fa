#include "deploy/launch/run_result.h"

#include <limits>
#include <nlohmann/json.hpp>

#include "tests/support/status.h"
#include "tests/support/test_job.h"

namespace tessera {
namespace {

using nlohmann::json;

RunResult Typical() {
  return {.steps = 60,
          .epochs = 7.5,
          .end_reason = v1::END_REASON_TARGET_ACCURACY,
          .train_loss = 0.1 + 0.2,
          .test_loss = 0.5,
          .test_accuracy = 0.75,
          .seconds = 2.5,
          .samples_per_second = 768,
          .params_sha256 = "abc",
          .workers = 3,
          .servers = std::vector<v1::GetServerInfoResponse>(2)};
}

void AddTraffic(v1::GetServerInfoResponse& server, int64_t pushes,
                int64_t pushed_bytes) {
  v1::PeerTraffic& traffic = *server.add_traffic();
  traffic.set_pushes(pushes);
  traffic.set_pushed_bytes(pushed_bytes);
}

TEST_CASE("the summary has what tools look for") {
  const Job job = MakeTestJob();
  const json summary = json::parse(SummaryJson(job, Typical()));
  REQUIRE(summary["job"] == job.proto().name());
  REQUIRE(summary["job_fingerprint"].get<std::string>().size() == 16);
  REQUIRE(summary["end_reason"] == "target accuracy reached");
  REQUIRE(summary["steps"] == 60);
  REQUIRE(summary["epochs"] == 7.5);
  REQUIRE(summary["train_loss"].get<double>() == 0.1 + 0.2);
  REQUIRE(summary["test_loss"] == 0.5);
  REQUIRE(summary["test_accuracy"] == 0.75);
  REQUIRE(summary["seconds"] == 2.5);
  REQUIRE(summary["samples_per_second"] == 768.0);
  REQUIRE(summary["params_sha256"] == "abc");
  REQUIRE(summary["parameters"] == 10);
  REQUIRE(summary["servers"] == 2);
  REQUIRE(summary["workers"] == 3);
}

TEST_CASE("a run that diverged still has a summary that is JSON") {
  RunResult result = Typical();
  result.train_loss = std::numeric_limits<double>::quiet_NaN();
  result.test_loss = std::numeric_limits<double>::infinity();
  const json summary = json::parse(SummaryJson(MakeTestJob(), result));
  REQUIRE(summary["train_loss"].is_null());
  REQUIRE(summary["test_loss"].is_null());
}

TEST_CASE("every reason to end has words of its own") {
  std::vector<std::string> seen;
  for (int i = 0; i < v1::EndReason_ARRAYSIZE; ++i) {
    const std::string words = Describe(static_cast<v1::EndReason>(i));
    REQUIRE(std::find(seen.begin(), seen.end(), words) == seen.end());
    seen.push_back(words);
  }
}

TEST_CASE("bytes per worker and step leave out who only pulled") {
  v1::GetServerInfoResponse server;
  REQUIRE(PushedPerWorkerAndStep(server, 10) == 0);
  AddTraffic(server, 0, 0);
  REQUIRE(WorkersThatPushed(server) == 0);
  REQUIRE(PushedPerWorkerAndStep(server, 10) == 0);
  AddTraffic(server, 10, 4000);
  AddTraffic(server, 10, 8000);
  REQUIRE(WorkersThatPushed(server) == 2);
  REQUIRE(PushedPerWorkerAndStep(server, 10) == 600);
  REQUIRE(PushedPerWorkerAndStep(server, 0) == 0);
}

}  // namespace
}  // namespace tessera
