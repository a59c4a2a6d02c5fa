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

constexpr char kWaitedTooLong[] = "tessera/waited_too_long";
// A silence that is shorter is nothing to tell anyone.
constexpr absl::Duration kSilenceMin = absl::Seconds(1);

// Whether nothing more is to come.
bool IsOver(const v1::GetStatusResponse& status) {
  if (status.phase() != v1::PHASE_ENDED) return false;
  const v1::CheckpointStatus& checkpoint = status.checkpoint();
  return !checkpoint.enabled() || checkpoint.pending_version() < 0;
}

}  // namespace

absl::Status MakeWaitedTooLong(const std::string& message) {
  absl::Status error = absl::DeadlineExceededError(message);
  error.SetPayload(kWaitedTooLong, absl::Cord());
  return error;
}

bool WaitedTooLong(const absl::Status& status) {
  return status.GetPayload(kWaitedTooLong).has_value();
}

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
    if (seen && IsOver(*seen)) return *seen;
    if (seen && seen->phase() != v1::PHASE_ENDED && deserted) {
      TESSERA_RETURN_IF_ERROR(Desert());
    }
    Rest();
  }
}

// All workers have left, but the job has not ended.
absl::Status Watch::Desert() {
  if (cluster_->server_restarts() > 0) return cluster_->StartWorkersAgain();
  return absl::AbortedError(
      "all workers have left by themselves, but the job has not ended");
}

absl::Status Watch::HandleStop() {
  if (stop_.count == 0) return absl::OkStatus();
  if (!stop_seen_) {
    display_.Print(
        "Stopping after the step at hand; once more to give up at once.");
    stop_seen_ = absl::Now();
  }
  if (absl::Now() - *stop_seen_ > options_.stop_within) {
    return absl::DeadlineExceededError(absl::StrCat(
        "the job has not ended ", absl::FormatDuration(options_.stop_within),
        " after it was asked to",
        shown_ && !shown_->waiting.empty()
            ? absl::StrCat(" (waiting: ", shown_->waiting, ")")
            : "",
        "; the newest checkpoint is ", newest_checkpoint_));
  }
  return stop_sent_ ? absl::OkStatus() : AskToStop();
}

absl::Status Watch::AskToStop() {
  const absl::Status sent = observer_.StopJob("the launcher was asked to stop");
  // A coordinator that is away is told when it is back.
  if (IsTransportFailure(sent)) return absl::OkStatus();
  stop_sent_ = true;
  return sent;
}

absl::Status Watch::TendCluster() {
  if (cluster_ == nullptr) return absl::OkStatus();
  return cluster_->Tend([this](const Death& death) {
    display_.Print(death.report);
    if (!death.label.empty()) {
      observer_.ReportDead(death.label);
    } else if (!server_died_) {
      server_died_ = absl::Now();
    }
  });
}

absl::StatusOr<std::optional<v1::GetStatusResponse>> Watch::Look() {
  const auto status = observer_.Status();
  auto infos = status.ok() ? observer_.ServerInfos() : status.status();
  last_look_ = absl::Now();
  // While another server is away, how long to wait is for the coordinator.
  if (status.ok()) last_answer_ = last_look_;
  if (infos.ok()) {
    TESSERA_RETURN_IF_ERROR(CheckIdentity(*status, *infos));
    pushed_bytes_ = PushedBytes(*infos);
  } else if (!IsTransportFailure(infos.status())) {
    return infos.status();
  } else if (!status.ok()) {
    TESSERA_RETURN_IF_ERROR(BearSilence(status.status()));
    return std::nullopt;
  }
  NoteGeneration(*status);
  if (!first_steps_ && status->phase() != v1::PHASE_RECOVERING) {
    first_steps_ = status->steps_done();
  }
  if (!status->checkpoint().newest_folder().empty()) {
    newest_checkpoint_ = status->checkpoint().newest_folder();
  }
  history_.Update(*status, absl::ToDoubleSeconds(elapsed()));
  shown_ = meter_.Update(*status, pushed_bytes_, history_, last_look_);
  display_.Show(*shown_);
  // Without all servers there is nothing to fetch, unless nothing more is to
  // be waited for.
  const bool is_given_up =
      status->end_reason() == v1::END_REASON_WAITED_TOO_LONG;
  return infos.ok() || is_given_up ? std::optional(*status) : std::nullopt;
}

void Watch::NoteGeneration(const v1::GetStatusResponse& status) {
  if (status.generation() == 0 || status.generation() == generation_ ||
      status.phase() == v1::PHASE_RECOVERING) {
    return;
  }
  if (generation_ != 0) {
    ++recoveries_;
    display_.Print(absl::StrCat(
        "recovered: all servers are back",
        server_died_
            ? absl::StrFormat(" after %.1f s",
                              absl::ToDoubleSeconds(last_look_ - *server_died_))
            : "",
        ", ", status.steps_done(), " steps done"));
    // The coordinator may be another, which was told nothing.
    stop_sent_ = false;
  }
  server_died_.reset();
  generation_ = status.generation();
}

absl::Status Watch::BearSilence(const absl::Status& why) {
  const absl::Duration silence = last_look_ - last_answer_;
  const double stop_after = job_.wait_policy().stop_after_seconds();
  if (cluster_ == nullptr) {
    if (silence > options_.lost_after) return why;
  } else if (stop_after > 0 &&
             silence > options_.lost_after + absl::Seconds(stop_after)) {
    return MakeWaitedTooLong(
        absl::StrCat("waited too long for server 0: ", why.message(),
                     "; the newest checkpoint is ", newest_checkpoint_));
  }
  if (!shown_ || silence < kSilenceMin) return absl::OkStatus();
  shown_->samples_per_second = 0;
  shown_->pushed_megabytes_per_second = 0;
  shown_->time_left.reset();
  shown_->waiting =
      absl::StrCat("server 0 to answer, ", absl::ToInt64Seconds(silence), " s");
  display_.Show(*shown_);
  return absl::OkStatus();
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
