#include "deploy/launch/run_result.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/str_format.h"

namespace tessera {

int WorkersThatPushed(const v1::GetServerInfoResponse& server) {
  return static_cast<int>(std::count_if(
      server.traffic().begin(), server.traffic().end(),
      [](const v1::PeerTraffic& peer) { return peer.pushes() > 0; }));
}

int64_t PushedPerWorkerAndStep(const v1::GetServerInfoResponse& server,
                               int64_t steps) {
  const int workers = WorkersThatPushed(server);
  if (steps == 0 || workers == 0) return 0;
  int64_t bytes = 0;
  for (const v1::PeerTraffic& peer : server.traffic()) {
    bytes += peer.pushed_bytes();
  }
  return bytes / steps / workers;
}

std::string SummaryJson(const Job& job, const RunResult& result) {
  const nlohmann::ordered_json summary = {
      {"job", job.proto().name()},
      {"job_fingerprint", absl::StrFormat("%016x", job.fingerprint())},
      {"end_reason", Describe(result.end_reason)},
      {"steps", result.steps},
      {"epochs", result.epochs},
      {"train_loss", result.train_loss},
      {"test_loss", result.test_loss},
      {"test_accuracy", result.test_accuracy},
      {"seconds", result.seconds},
      {"samples_per_second", result.samples_per_second},
      {"params_sha256", result.params_sha256},
      {"parameters", job.layout().total_elements()},
      {"servers", result.servers.size()},
      {"workers", result.workers},
      {"recoveries", result.recoveries},
      {"checkpoint_version", result.checkpoint_version},
      {"checkpoint", result.checkpoint_folder}};
  // A name may hold any bytes; JSON wants UTF-8.
  constexpr auto kReplace = nlohmann::ordered_json::error_handler_t::replace;
  return summary.dump(2, ' ', false, kReplace) + "\n";
}

std::string Describe(v1::EndReason reason) {
  switch (reason) {
    case v1::END_REASON_STEPS:
      return "all steps done";
    case v1::END_REASON_TARGET_ACCURACY:
      return "target accuracy reached";
    case v1::END_REASON_TARGET_LOSS:
      return "target loss reached";
    case v1::END_REASON_PLATEAU:
      return "loss no longer improving";
    case v1::END_REASON_STOPPED:
      return "stopped on request";
    case v1::END_REASON_WAITED_TOO_LONG:
      return "waited too long";
    default:
      return "not ended";
  }
}

}  // namespace tessera
