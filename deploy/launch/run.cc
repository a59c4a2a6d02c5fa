#include "deploy/launch/run.h"

#include <unistd.h>

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/base/file.h"
#include "common/base/sha256.h"
#include "common/base/status_macros.h"
#include "common/trace/trace_file.h"
#include "deploy/launch/checkpoint_folder.h"
#include "deploy/launch/observer.h"
#include "deploy/report/curves.h"
#include "deploy/report/run_history.h"
#include "deploy/report/safetensors.h"

namespace tessera {
namespace {

constexpr int kFetchAttempts = 5;

// What a run leaves behind, besides its logs.
constexpr const char* kOutputs[] = {"metrics.jsonl", "curves.svg",
                                    "params.safetensors", "summary.json"};

// Makes the folders and writes the job; an earlier run's outputs go, so that
// none of them can be taken for this one's.
absl::Status PrepareFolder(const Job& job, const std::string& dir) {
  TESSERA_RETURN_IF_ERROR(MakeDirectories(dir + "/logs"));
  for (const char* output : kOutputs) {
    unlink(absl::StrCat(dir, "/", output).c_str());
  }
  return WriteFileAtomically(dir + "/job.textproto",
                             FormatJobText(job.proto()));
}

absl::Status WaitedTooLongError(const v1::GetStatusResponse& status) {
  std::string message = absl::StrCat(
      "the job waited longer than its operation.wait.stop_after_seconds "
      "allows and has stopped after ",
      status.steps_done(), " steps");
  for (const v1::Waiting& waiting : status.waiting()) {
    absl::StrAppend(&message, "; waited for ", waiting.label(),
                    waiting.label().empty() ? "" : ": ", waiting.work());
  }
  absl::StrAppend(&message, "; the newest checkpoint is ",
                  status.checkpoint().newest_folder().empty()
                      ? "none"
                      : status.checkpoint().newest_folder());
  return MakeWaitedTooLong(message);
}

// What only servers have: their figures and the parameters.
struct Fetched {
  std::vector<v1::GetServerInfoResponse> servers;
  std::vector<float> parameters;
};

absl::StatusOr<Fetched> Fetch(const Job& job, const ShardPlan& plan,
                              Observer& observer, int64_t version) {
  Fetched fetched;
  TESSERA_ASSIGN_OR_RETURN(fetched.servers, observer.ServerInfos());
  TESSERA_ASSIGN_OR_RETURN(fetched.parameters,
                           observer.PullAll(job, plan, version));
  return fetched;
}

RunResult MakeResult(const Job& job, const v1::GetStatusResponse& status,
                     const Watch& watch) {
  RunResult result{
      .steps = status.steps_done(),
      .epochs = static_cast<double>(status.steps_done()) /
                static_cast<double>(job.steps_per_epoch()),
      .end_reason = status.end_reason(),
      .train_loss = watch.history().RecentTrainLoss(job.steps_per_epoch()),
      .seconds = absl::ToDoubleSeconds(watch.elapsed()),
      .recoveries = watch.recoveries()};
  if (status.checkpoint().enabled() &&
      !status.checkpoint().newest_folder().empty()) {
    result.checkpoint_version = status.checkpoint().newest_version();
    result.checkpoint_folder = status.checkpoint().newest_folder();
  }
  if (!watch.history().steps().empty()) {
    result.final_step_loss = watch.history().steps().back().loss();
  }
  if (!watch.history().evaluations().empty()) {
    result.test_loss = watch.history().evaluations().back().loss();
    result.test_accuracy = watch.history().evaluations().back().accuracy();
  }
  if (result.seconds > 0) {
    const int64_t steps =
        std::max<int64_t>(result.steps - watch.first_steps(), 0);
    result.samples_per_second =
        static_cast<double>(steps * job.batch_size()) / result.seconds;
  }
  return result;
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
  return WriteFileAtomically(dir + "/summary.json", SummaryJson(job, result));
}

// Puts the ended processes' timelines into one.
absl::Status WriteTimeline(const Cluster* cluster, const std::string& path) {
  if (cluster == nullptr || path.empty()) return absl::OkStatus();
  return MergeTraces(cluster->traces(), path);
}

}  // namespace

absl::StatusOr<RunResult> RunJob(const Job& job, const RunOptions& options,
                                 const StopRequests& stop,
                                 ProgressDisplay& display) {
  ClusterOptions cluster_options = options.cluster;
  const std::string& dir = cluster_options.run_dir;
  cluster_options.job_file = dir + "/job.textproto";
  if (options.attach.empty() && !options.checkpoint_dir.empty()) {
    TESSERA_RETURN_IF_ERROR(
        PrepareCheckpointFolder({.path = options.checkpoint_dir,
                                 .resume = options.resume,
                                 .overwrite = options.overwrite}));
    cluster_options.server_flags.push_back("--checkpoint_dir=" +
                                           options.checkpoint_dir);
  }
  TESSERA_RETURN_IF_ERROR(PrepareFolder(job, dir));
  if (!options.trace_out.empty()) {
    cluster_options.trace_dir = dir + "/trace";
    TESSERA_RETURN_IF_ERROR(MakeDirectories(cluster_options.trace_dir));
  }
  std::unique_ptr<Cluster> cluster;
  if (options.attach.empty()) {
    TESSERA_ASSIGN_OR_RETURN(
        cluster, Cluster::Start(cluster_options, [&](const Death& death) {
          display.Print(death.report);
        }));
  }
  const std::vector<std::string>& addresses =
      cluster == nullptr ? options.attach : cluster->addresses();
  TESSERA_ASSIGN_OR_RETURN(
      ShardPlan plan,
      ShardPlan::Create(job.layout().total_elements(),
                        static_cast<int>(addresses.size()), job.block_bytes()));
  TESSERA_ASSIGN_OR_RETURN(std::unique_ptr<Observer> observer,
                           Observer::Create(addresses, options.security));
  Watch watch(job,
              {.metrics_path = dir + "/metrics.jsonl",
               .stop_within = options.stop_within},
              cluster.get(), *observer, stop, display);
  v1::GetStatusResponse status;
  absl::StatusOr<Fetched> fetched;
  // A server may die between the job's end and this; the job then goes back and
  // ends again.
  for (int attempt = 0; attempt < kFetchAttempts; ++attempt) {
    TESSERA_ASSIGN_OR_RETURN(status, watch.UntilEnd());
    if (status.end_reason() == v1::END_REASON_WAITED_TOO_LONG) {
      return WaitedTooLongError(status);
    }
    fetched = Fetch(job, plan, *observer, status.steps_done());
    if (fetched.ok() || cluster == nullptr) break;
  }
  display.Finish();
  TESSERA_RETURN_IF_ERROR(fetched.status());

  RunResult result = MakeResult(job, status, watch);
  result.servers = std::move(fetched->servers);
  result.workers = cluster == nullptr ? WorkersThatPushed(result.servers[0])
                                      : options.cluster.workers;
  const std::vector<float>& params = fetched->parameters;
  Sha256 sha;
  sha.Update(params.data(), params.size() * sizeof(float));
  result.params_sha256 = HexDigest(sha.Finish());
  TESSERA_RETURN_IF_ERROR(WriteResults(job, options, watch, params, result));
  if (cluster != nullptr) cluster->Stop();
  TESSERA_RETURN_IF_ERROR(WriteTimeline(cluster.get(), options.trace_out));
  return result;
}

}  // namespace tessera
