#include "deploy/launch/run.h"

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "common/base/file.h"
#include "common/base/sha256.h"
#include "common/base/status_macros.h"
#include "deploy/launch/observer.h"
#include "deploy/report/curves.h"
#include "deploy/report/run_history.h"
#include "deploy/report/safetensors.h"

namespace tessera {
namespace {

// How often the run is looked at.
constexpr absl::Duration kInterval = absl::Milliseconds(250);
// Rates are means over this long.
constexpr absl::Duration kRateWindow = absl::Seconds(3);
// A coordinator that does not answer for this long has been lost.
constexpr absl::Duration kLostAfter = absl::Seconds(30);

// Steps and bytes at a moment, for rates.
struct Sample {
  absl::Time time;
  int64_t steps = 0;
  int64_t pushed_bytes = 0;
};

// Turns what is seen into a Progress.
class ProgressMeter {
 public:
  explicit ProgressMeter(const Job& job) : job_(job) {}

  Progress Update(const v1::GetStatusResponse& status, int64_t pushed_bytes,
                  const RunHistory& history, absl::Time now) {
    samples_.push_back({now, status.steps_done(), pushed_bytes});
    while (samples_.size() > 2 && now - samples_[1].time > kRateWindow) {
      samples_.erase(samples_.begin());
    }
    Progress progress{.steps_done = status.steps_done(),
                      .steps_total = job_.max_steps(),
                      .steps_per_epoch = job_.steps_per_epoch(),
                      .evaluating = status.phase() == v1::PHASE_EVALUATING};
    if (!history.steps().empty()) {
      progress.loss = history.steps().back().loss();
    }
    if (!history.evaluations().empty() &&
        job_.proto().data_set().classes() > 0) {
      progress.accuracy = history.evaluations().back().accuracy();
    }
    AddRates(progress);
    for (const v1::Waiting& waiting : status.waiting()) {
      progress.waiting = absl::StrFormat(
          "%s for %s, %.0f s", waiting.work(),
          waiting.label().empty() ? "a worker" : waiting.label(),
          static_cast<double>(waiting.waiting_ms()) / 1000);
    }
    return progress;
  }

 private:
  void AddRates(Progress& progress) const {
    const Sample& first = samples_.front();
    const Sample& last = samples_.back();
    const double seconds = absl::ToDoubleSeconds(last.time - first.time);
    if (seconds <= 0) return;
    const double steps_per_second =
        static_cast<double>(last.steps - first.steps) / seconds;
    progress.samples_per_second = steps_per_second * job_.batch_size();
    progress.pushed_megabytes_per_second =
        static_cast<double>(last.pushed_bytes - first.pushed_bytes) / seconds /
        1e6;
    if (steps_per_second > 0) {
      progress.time_left = absl::Seconds(
          static_cast<double>(progress.steps_total - progress.steps_done) /
          steps_per_second);
    }
  }

  const Job& job_;
  std::vector<Sample> samples_;
};

int64_t PushedBytes(const std::vector<v1::GetServerInfoResponse>& servers) {
  int64_t bytes = 0;
  for (const auto& server : servers) {
    for (const auto& traffic : server.traffic()) {
      bytes += traffic.pushed_bytes();
    }
  }
  return bytes;
}

// Watches a job until it has ended.
class Watch {
 public:
  Watch(const Job& job, const RunOptions& options, Cluster* cluster,
        Observer& observer, StopRequests& stop, ProgressDisplay& display)
      : cluster_(cluster),
        observer_(observer),
        stop_(stop),
        display_(display),
        meter_(job),
        history_(absl::StrCat(options.cluster.run_dir, "/metrics.jsonl")),
        start_(absl::Now()),
        last_answer_(start_) {}

  absl::StatusOr<v1::GetStatusResponse> UntilEnd() {
    while (true) {
      TESSERA_RETURN_IF_ERROR(HandleStop());
      if (cluster_ != nullptr) {
        TESSERA_RETURN_IF_ERROR(
            cluster_->Tend([this](const WorkerDeath& death) {
              display_.Print(death.report);
              observer_.ReportDead(death.label);
            }));
      }
      TESSERA_ASSIGN_OR_RETURN(const std::optional<v1::GetStatusResponse> seen,
                               Look());
      if (seen && seen->phase() == v1::PHASE_ENDED) return *seen;
      absl::SleepFor(kInterval);
    }
  }

  double seconds() const { return absl::ToDoubleSeconds(end_ - start_); }
  const RunHistory& history() const { return history_; }

 private:
  absl::Status HandleStop() {
    const int requests = stop_.count;
    if (requests >= 2) return absl::CancelledError("given up");
    if (requests == 0 || stop_sent_) return absl::OkStatus();
    display_.Print(
        "Stopping after the step at hand; once more to give up at once.");
    stop_sent_ = true;
    return observer_.StopJob("the launcher was asked to stop");
  }

  absl::StatusOr<std::optional<v1::GetStatusResponse>> Look() {
    const auto status = observer_.Status();
    end_ = absl::Now();
    if (!status.ok()) {
      if (end_ - last_answer_ > kLostAfter) return status.status();
      return std::nullopt;
    }
    last_answer_ = end_;
    const auto infos = observer_.ServerInfos();
    if (infos.ok()) pushed_bytes_ = PushedBytes(*infos);
    history_.Update(*status, seconds());
    display_.Show(meter_.Update(*status, pushed_bytes_, history_, end_));
    return *status;
  }

  Cluster* const cluster_;
  Observer& observer_;
  StopRequests& stop_;
  ProgressDisplay& display_;
  ProgressMeter meter_;
  RunHistory history_;
  const absl::Time start_;
  absl::Time end_;
  absl::Time last_answer_;
  int64_t pushed_bytes_ = 0;
  bool stop_sent_ = false;
};

int WorkersThatComputed(const std::vector<v1::GetServerInfoResponse>& servers) {
  return servers.empty() ? 0 : servers.front().traffic_size();
}

RunResult MakeResult(const Job& job, const v1::GetStatusResponse& status,
                     const Watch& watch) {
  RunResult result{
      .steps = status.steps_done(),
      .epochs = static_cast<double>(status.steps_done()) /
                static_cast<double>(job.steps_per_epoch()),
      .end_reason = status.end_reason(),
      .train_loss = watch.history().RecentTrainLoss(job.steps_per_epoch()),
      .seconds = watch.seconds()};
  if (!watch.history().steps().empty()) {
    result.final_step_loss = watch.history().steps().back().loss();
  }
  if (!watch.history().evaluations().empty()) {
    result.test_loss = watch.history().evaluations().back().loss();
    result.test_accuracy = watch.history().evaluations().back().accuracy();
  }
  result.samples_per_second =
      static_cast<double>(result.steps * job.batch_size()) / result.seconds;
  return result;
}

absl::Status WriteSummary(const std::string& path, const Job& job,
                          const RunResult& result, int workers) {
  nlohmann::ordered_json summary = {
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
      {"workers", workers}};
  return WriteFileAtomically(path, summary.dump(2) + "\n");
}

absl::Status WriteResults(const Job& job, const RunOptions& options,
                          const Watch& watch, absl::Span<const float> params,
                          const RunResult& result) {
  const std::string& dir = options.cluster.run_dir;
  TESSERA_RETURN_IF_ERROR(
      WriteSafetensors(dir + "/params.safetensors", job.layout(), params));
  const bool with_accuracy = job.proto().data_set().classes() > 0;
  TESSERA_RETURN_IF_ERROR(WriteFileAtomically(
      dir + "/curves.svg",
      DrawCurves(watch.history().ToCurves(job.proto().name(), with_accuracy))));
  TESSERA_RETURN_IF_ERROR(watch.history().Check());
  const int workers =
      options.attach.empty() ? options.cluster.workers : result.workers;
  return WriteSummary(dir + "/summary.json", job, result, workers);
}

}  // namespace

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
    default:
      return "not ended";
  }
}

absl::StatusOr<RunResult> RunJob(const Job& job, const RunOptions& options,
                                 StopRequests& stop, ProgressDisplay& display) {
  ClusterOptions cluster_options = options.cluster;
  const std::string& dir = cluster_options.run_dir;
  cluster_options.job_file = dir + "/job.textproto";
  TESSERA_RETURN_IF_ERROR(MakeDirectories(dir + "/logs"));
  TESSERA_RETURN_IF_ERROR(WriteFileAtomically(cluster_options.job_file,
                                              FormatJobText(job.proto())));
  std::unique_ptr<Cluster> cluster;
  if (options.attach.empty()) {
    TESSERA_ASSIGN_OR_RETURN(cluster, Cluster::Start(cluster_options));
  }
  const std::vector<std::string>& addresses =
      cluster == nullptr ? options.attach : cluster->addresses();
  TESSERA_ASSIGN_OR_RETURN(
      ShardPlan plan,
      ShardPlan::Create(job.layout().total_elements(),
                        static_cast<int>(addresses.size()), job.block_bytes()));
  TESSERA_ASSIGN_OR_RETURN(std::unique_ptr<Observer> observer,
                           Observer::Create(addresses, options.security));
  Watch watch(job, options, cluster.get(), *observer, stop, display);
  TESSERA_ASSIGN_OR_RETURN(const v1::GetStatusResponse status,
                           watch.UntilEnd());
  display.Finish();

  RunResult result = MakeResult(job, status, watch);
  TESSERA_ASSIGN_OR_RETURN(result.servers, observer->ServerInfos());
  result.workers = WorkersThatComputed(result.servers);
  TESSERA_ASSIGN_OR_RETURN(const std::vector<float> params,
                           observer->PullAll(job, plan, result.steps));
  Sha256 sha;
  sha.Update(params.data(), params.size() * sizeof(float));
  result.params_sha256 = HexDigest(sha.Finish());
  TESSERA_RETURN_IF_ERROR(WriteResults(job, options, watch, params, result));
  if (cluster != nullptr) cluster->Stop();
  return result;
}

}  // namespace tessera
