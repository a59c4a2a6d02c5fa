#include "deploy/launch/watch.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "common/base/status_macros.h"
#include "common/rpc/call_status.h"

namespace tessera {
namespace {

int64_t PushedBytes(const std::vector<v1::GetServerInfoResponse>& servers) {
  int64_t bytes = 0;
  for (const auto& server : servers) {
    for (const auto& traffic : server.traffic()) {
      bytes += traffic.pushed_bytes();
    }
  }
  return bytes;
}

}  // namespace

Watch::Watch(const Job& job, const WatchOptions& options, Cluster* cluster,
             Observer& observer, const StopRequests& stop,
             ProgressDisplay& display)
    : job_(job),
      options_(options),
      cluster_(cluster),
      observer_(observer),
      stop_(stop),
      display_(display),
      meter_(job),
      history_(options.metrics_path),
      start_(absl::Now()),
      last_look_(start_),
      last_answer_(start_) {}

absl::StatusOr<v1::GetStatusResponse> Watch::UntilEnd() {
  while (true) {
    TESSERA_RETURN_IF_ERROR(HandleStop());
    TESSERA_RETURN_IF_ERROR(TendCluster());
    // Before the look: a worker leaves only once the job has ended.
    const bool deserted = cluster_ != nullptr && cluster_->AllWorkersHaveLeft();
    TESSERA_ASSIGN_OR_RETURN(const std::optional<v1::GetStatusResponse> seen,
                             Look());
    if (seen && seen->phase() == v1::PHASE_ENDED) return *seen;
    if (seen && deserted) {
      return absl::AbortedError(
          "all workers have left by themselves, but the job has not ended");
    }
    Rest();
  }
}

absl::Status Watch::HandleStop() {
  if (stop_.count == 0 || stop_sent_) return absl::OkStatus();
  display_.Print(
      "Stopping after the step at hand; once more to give up at once.");
  stop_sent_ = true;
  return observer_.StopJob("the launcher was asked to stop");
}

absl::Status Watch::TendCluster() {
  if (cluster_ == nullptr) return absl::OkStatus();
  return cluster_->Tend([this](const WorkerDeath& death) {
    display_.Print(death.report);
    observer_.ReportDead(death.label);
  });
}

absl::StatusOr<std::optional<v1::GetStatusResponse>> Watch::Look() {
  const auto status = observer_.Status();
  auto infos = status.ok() ? observer_.ServerInfos() : status.status();
  last_look_ = absl::Now();
  if (!infos.ok()) {
    const bool may_pass = IsTransportFailure(infos.status()) &&
                          last_look_ - last_answer_ <= options_.lost_after;
    if (may_pass) return std::nullopt;
    return infos.status();
  }
  last_answer_ = last_look_;
  TESSERA_RETURN_IF_ERROR(CheckIdentity(*status, *infos));
  history_.Update(*status, absl::ToDoubleSeconds(elapsed()));
  display_.Show(
      meter_.Update(*status, PushedBytes(*infos), history_, last_look_));
  return *status;
}

absl::Status Watch::CheckIdentity(
    const v1::GetStatusResponse& status,
    const std::vector<v1::GetServerInfoResponse>& infos) const {
  if (status.job_fingerprint() != job_.fingerprint()) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "the servers run job \"%s\" (fingerprint %016x), and the job file is "
        "another (%016x)",
        status.job_name(), status.job_fingerprint(), job_.fingerprint()));
  }
  const auto count = static_cast<int>(infos.size());
  if (status.shard_count() != count) {
    return absl::FailedPreconditionError(
        absl::StrCat("the job has ", status.shard_count(),
                     " servers, and the addresses given are ", count));
  }
  for (int i = 0; i < count; ++i) {
    if (infos[i].shard() == i) continue;
    return absl::FailedPreconditionError(absl::StrCat(
        "address number ", i + 1, " is that of shard ", infos[i].shard(),
        ", not ", i, ": give them in shard order"));
  }
  return absl::OkStatus();
}

void Watch::Rest() const {
  if (cluster_ != nullptr) {
    cluster_->AwaitEnding(options_.interval);
  } else {
    // Somebody else's processes offer nothing to wait on.
    absl::SleepFor(options_.interval);
  }
}

}  // namespace tessera
