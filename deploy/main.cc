// tessera_launch: runs a job on this machine and reports on it. See --help.

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/base/exit_status.h"
#include "common/base/file.h"
#include "common/base/program.h"
#include "common/base/status_macros.h"
#include "common/base/stop_on_signal.h"
#include "common/job/job.h"
#include "common/plan/shard_plan.h"
#include "common/rpc/security_flags.h"
#include "common/trace/trace_output.h"
#include "deploy/launch/compare.h"
#include "deploy/launch/run.h"
#include "deploy/report/progress.h"
#include "worker/data/dataset.h"

ABSL_FLAG(std::string, job, "", "The job file. Required.");
ABSL_FLAG(int, servers, 1, "Server processes to start.");
ABSL_FLAG(int, workers, 1, "Worker processes to start; one a core is best.");
ABSL_FLAG(std::string, run_dir, "",
          "Folder for the results, made if need be. Default: "
          "tessera-runs/NAME-DATE-TIME.");
ABSL_FLAG(bool, overwrite, false,
          "Allow a run_dir that holds an earlier run's results.");
ABSL_FLAG(std::string, data_dir, "",
          "Folder of the data set, instead of the one that the job names.");
ABSL_FLAG(
    bool, compare, false,
    "Run the job with 1 server and again with --servers, and compare: DDP "
    "against ZeRO. Fails unless both end with the same bits.");
ABSL_FLAG(std::string, attach, "",
          "Addresses host:port,host:port of servers that run already, in shard "
          "order: watch them and write the results, start nothing.");
ABSL_FLAG(std::string, resolve_only, "",
          "Write the job, with all that its data says filled in, to this file "
          "and exit. Servers that are started by hand need it.");
ABSL_FLAG(std::string, trace_out, "",
          "File for a timeline of all processes: where each step's time goes. "
          "ui.perfetto.dev shows it.");
ABSL_FLAG(int, worker_restarts, 20,
          "Deaths of workers that are made good before giving up.");
ABSL_FLAG(int, server_restarts, 20,
          "Deaths of servers that are made good before giving up.");
ABSL_FLAG(std::string, checkpoint_dir, "",
          "Folder for checkpoints. Default: checkpoints in --run_dir. \"none\" "
          "for none; a server that dies then takes the job back to its start.");
ABSL_FLAG(bool, resume, false,
          "Go on from the newest checkpoint in the folder for them.");
ABSL_FLAG(int64_t, checkpoint_every_steps, 0,
          "Overrides the job's operation.checkpoint.every_steps.");
ABSL_FLAG(double, checkpoint_every_seconds, 0,
          "Overrides the job's operation.checkpoint.every_seconds.");
ABSL_FLAG(int, keep_checkpoints, 0,
          "Overrides the job's operation.checkpoint.keep.");
ABSL_FLAG(int, stop_within_seconds, 30,
          "After Ctrl-C or SIGTERM: when to give up waiting for the job's end "
          "and kill everything, without results.");
ABSL_FLAG(int, lease_seconds, 10,
          "A worker that is silent for this long loses its work to another.");
ABSL_FLAG(std::string, server_flags, "",
          "More flags for the servers, separated by spaces.");
ABSL_FLAG(std::string, worker_flags, "",
          "More flags for the workers, separated by spaces.");
ABSL_FLAG(std::string, server_binary, "",
          "Default: ../server/tessera_server, seen from this program.");
ABSL_FLAG(std::string, worker_binary, "",
          "Default: ../worker/tessera_worker, seen from this program.");

namespace tessera {
namespace {

// Plus the signal's number, as shells say: 130 for SIGINT, 143 for SIGTERM.
constexpr int kExitSignalled = 128;

constexpr char kUsage[] =
    R"(Trains a Tessera job on this machine and writes down the results.

Starts servers and workers on free loopback ports, shows the progress, starts
again what dies, and leaves in --run_dir: job.textproto, logs/, checkpoints/,
metrics.jsonl, curves.svg, params.safetensors, summary.json.

  tessera_launch --job=deploy/jobs/fashion_cnn.textproto --servers=2 --workers=2
  tessera_launch --job=deploy/jobs/fashion_mlp.textproto --servers=3 --compare
  tessera_launch --job=JOB --run_dir=DIR --resume
  tessera_launch --job=JOB --resolve_only=resolved.textproto
  tessera_launch --job=resolved.textproto --attach=10.0.0.1:7000,10.0.0.2:7000

Ctrl-C (or SIGTERM) ends the job after the step at hand and still writes the
results, or gives up after --stop_within_seconds; the second one kills
everything at once.

Exit status: 0 success, 1 the run failed (or, with --compare, the runs differ),
2 bad flags, job file or data, 3 the job waited longer than its operation.wait
allows, 130 ended by Ctrl-C, 143 ended by SIGTERM.)";

int Fail(int exit_status, const absl::Status& status) {
  std::fprintf(stderr, "tessera_launch: %s\n",
               std::string(status.message()).c_str());
  return exit_status;
}

// The program's own place, which its siblings are found from.
std::string Sibling(const std::string& given, const char* relative) {
  if (!given.empty()) return given;
  std::error_code error;
  const std::filesystem::path self =
      std::filesystem::read_symlink("/proc/self/exe", error);
  return (self.parent_path().parent_path() / relative).string();
}

// The job's name, fit for a folder's.
std::string FolderName(const Job& job) {
  std::string name = job.proto().name().empty() ? "job" : job.proto().name();
  for (char& c : name) {
    if (!absl::ascii_isalnum(c) && c != '-' && c != '.') c = '_';
  }
  return name;
}

// What the flags say of how the job is run.
void OverrideOperation(v1::Job& job) {
  v1::CheckpointPolicy& policy = *job.mutable_operation()->mutable_checkpoint();
  const int64_t steps = absl::GetFlag(FLAGS_checkpoint_every_steps);
  const double seconds = absl::GetFlag(FLAGS_checkpoint_every_seconds);
  if (steps != 0 || seconds != 0) {
    policy.set_every_steps(steps);
    policy.set_every_seconds(seconds);
  }
  const int keep = absl::GetFlag(FLAGS_keep_checkpoints);
  if (keep != 0) policy.set_keep(keep);
}

absl::StatusOr<Job> ResolvedJob() {
  if (absl::GetFlag(FLAGS_job).empty()) {
    return absl::InvalidArgumentError("--job is required; see --help");
  }
  TESSERA_ASSIGN_OR_RETURN(v1::Job proto,
                           LoadJobFile(absl::GetFlag(FLAGS_job)));
  OverrideOperation(proto);
  if (!absl::GetFlag(FLAGS_attach).empty()) {
    // A machine that only watches needs no data, if the job is resolved.
    auto job = Job::Create(proto);
    if (!absl::IsFailedPrecondition(job.status())) return job;
  }
  TESSERA_ASSIGN_OR_RETURN(
      const DataSetFacts facts,
      ReadDataSetFacts(proto, absl::GetFlag(FLAGS_data_dir)));
  TESSERA_RETURN_IF_ERROR(ResolveDataSet(facts, proto));
  return Job::Create(std::move(proto));
}

absl::Status CheckCheckpointFlags() {
  const bool resume = absl::GetFlag(FLAGS_resume);
  if (resume && absl::GetFlag(FLAGS_run_dir).empty() &&
      absl::GetFlag(FLAGS_checkpoint_dir).empty()) {
    return absl::InvalidArgumentError(
        "--resume needs the --run_dir of the run to go on with, or a "
        "--checkpoint_dir");
  }
  if (resume && absl::GetFlag(FLAGS_checkpoint_dir) == "none") {
    return absl::InvalidArgumentError(
        "--resume and --checkpoint_dir=none exclude each other");
  }
  const bool attach = !absl::GetFlag(FLAGS_attach).empty();
  if ((attach || absl::GetFlag(FLAGS_compare)) &&
      (resume || !absl::GetFlag(FLAGS_checkpoint_dir).empty())) {
    return absl::InvalidArgumentError(
        "--resume and --checkpoint_dir are for one run that is started here, "
        "not for --attach or --compare");
  }
  return absl::OkStatus();
}

absl::Status CheckFlags() {
  if (absl::GetFlag(FLAGS_servers) < 1 || absl::GetFlag(FLAGS_workers) < 1) {
    return absl::InvalidArgumentError(
        "--servers and --workers must be at least 1");
  }
  if (absl::GetFlag(FLAGS_lease_seconds) < 1) {
    return absl::InvalidArgumentError("--lease_seconds must be at least 1");
  }
  if (absl::GetFlag(FLAGS_worker_restarts) < 0 ||
      absl::GetFlag(FLAGS_server_restarts) < 0) {
    return absl::InvalidArgumentError(
        "--worker_restarts and --server_restarts must be at least 0");
  }
  if (absl::GetFlag(FLAGS_stop_within_seconds) < 1) {
    return absl::InvalidArgumentError(
        "--stop_within_seconds must be at least 1");
  }
  TESSERA_RETURN_IF_ERROR(CheckCheckpointFlags());
  const ChannelSecurity security = SecurityFromFlags();
  const bool network_flags =
      security.insecure_network || !security.ca_file.empty() ||
      !security.cert_file.empty() || !security.key_file.empty();
  if (network_flags && absl::GetFlag(FLAGS_attach).empty()) {
    return absl::InvalidArgumentError(
        "--tls_* and --insecure_network are for --attach: what is started here "
        "talks over the loopback interface");
  }
  if (!absl::GetFlag(FLAGS_trace_out).empty() &&
      (absl::GetFlag(FLAGS_compare) || !absl::GetFlag(FLAGS_attach).empty())) {
    return absl::InvalidArgumentError(
        "--trace_out is for one run of processes that are started here, so not "
        "for --compare or --attach; servers and workers take --trace_out too");
  }
  if (absl::GetFlag(FLAGS_compare) && (absl::GetFlag(FLAGS_servers) < 2 ||
                                       !absl::GetFlag(FLAGS_attach).empty())) {
    return absl::InvalidArgumentError(
        "--compare needs --servers of at least 2, and no --attach");
  }
  return absl::OkStatus();
}

// Makes the folder; refuses to mix two runs' results.
absl::StatusOr<std::string> PrepareRunDir(const Job& job) {
  std::string dir = absl::GetFlag(FLAGS_run_dir);
  if (dir.empty()) {
    dir = absl::StrCat(
        "tessera-runs/", FolderName(job), "-",
        absl::FormatTime("%Y%m%d-%H%M%S", absl::Now(), absl::LocalTimeZone()));
  }
  TESSERA_RETURN_IF_ERROR(MakeDirectories(dir));
  // The second is what a comparison leaves.
  const bool used = std::filesystem::exists(dir + "/job.textproto") ||
                    std::filesystem::exists(dir + "/1-servers");
  if (used && !absl::GetFlag(FLAGS_overwrite) && !absl::GetFlag(FLAGS_resume)) {
    return absl::AlreadyExistsError(
        absl::StrCat("--run_dir=", dir,
                     " holds an earlier run; take another, or --overwrite, or "
                     "go on with it: --resume"));
  }
  return dir;
}

void AppendWords(const std::string& text, std::vector<std::string>& words) {
  for (const auto word : absl::StrSplit(text, ' ', absl::SkipEmpty())) {
    words.emplace_back(word);
  }
}

RunOptions MakeOptions(const std::string& run_dir, int servers) {
  RunOptions options{
      .cluster = {.server_binary = Sibling(absl::GetFlag(FLAGS_server_binary),
                                           "server/tessera_server"),
                  .worker_binary = Sibling(absl::GetFlag(FLAGS_worker_binary),
                                           "worker/tessera_worker"),
                  .run_dir = run_dir,
                  .servers = servers,
                  .workers = absl::GetFlag(FLAGS_workers),
                  .worker_restarts = absl::GetFlag(FLAGS_worker_restarts),
                  .server_restarts = absl::GetFlag(FLAGS_server_restarts),
                  .server_flags = {absl::StrCat(
                      "--lease_seconds=", absl::GetFlag(FLAGS_lease_seconds))}},
      .security = SecurityFromFlags(),
      .trace_out = absl::GetFlag(FLAGS_trace_out),
      .checkpoint_dir = absl::GetFlag(FLAGS_checkpoint_dir),
      .resume = absl::GetFlag(FLAGS_resume),
      .overwrite = absl::GetFlag(FLAGS_overwrite),
      .stop_within = absl::Seconds(absl::GetFlag(FLAGS_stop_within_seconds))};
  if (options.checkpoint_dir.empty()) {
    options.checkpoint_dir = run_dir + "/checkpoints";
  } else if (options.checkpoint_dir == "none") {
    options.checkpoint_dir.clear();
  }
  if (!absl::GetFlag(FLAGS_attach).empty()) {
    options.attach = absl::StrSplit(absl::GetFlag(FLAGS_attach), ',');
  }
  AppendWords(absl::GetFlag(FLAGS_server_flags), options.cluster.server_flags);
  AppendWords(absl::GetFlag(FLAGS_worker_flags), options.cluster.worker_flags);
  if (!absl::GetFlag(FLAGS_data_dir).empty()) {
    options.cluster.worker_flags.push_back(
        absl::StrCat("--data_dir=", absl::GetFlag(FLAGS_data_dir)));
  }
  return options;
}

void PrintResult(const Job& job, const std::string& dir,
                 const RunResult& result) {
  std::printf(
      "\n%s: %s after %s steps (%.2f epochs) in %.1f s, %s samples/s\n",
      job.proto().name().c_str(), Describe(result.end_reason).c_str(),
      WithCommas(result.steps).c_str(), result.epochs, result.seconds,
      WithCommas(static_cast<int64_t>(result.samples_per_second)).c_str());
  std::printf("  train loss     %.4f\n  test loss      %.4f\n",
              result.train_loss, result.test_loss);
  if (job.proto().data_set().classes() > 0) {
    std::printf("  test accuracy  %.2f%%\n", 100 * result.test_accuracy);
  }
  std::printf(
      "  parameters     %s/params.safetensors\n"
      "                 SHA-256 %s\n"
      "  curves         %s/curves.svg\n"
      "  summary        %s/summary.json\n"
      "  metrics, logs  %s/metrics.jsonl, %s/logs/\n",
      dir.c_str(), result.params_sha256.c_str(), dir.c_str(), dir.c_str(),
      dir.c_str(), dir.c_str());
  if (!result.checkpoint_folder.empty()) {
    std::printf("  checkpoint     %s\n", result.checkpoint_folder.c_str());
  }
  if (const std::string trace = absl::GetFlag(FLAGS_trace_out);
      !trace.empty()) {
    std::printf("  timeline       %s (for ui.perfetto.dev)\n", trace.c_str());
  }
}

// The run failed, or was stopped before it had results.
int FailRun(const absl::Status& status, const StopOnSignal& signals) {
  const int signal = signals.first_signal();
  // Checkpoints where there should be none, or the other way round; a job that
  // a server refuses, or whose checkpoints are another's.
  if (absl::IsAlreadyExists(status) || absl::IsInvalidArgument(status) ||
      (absl::GetFlag(FLAGS_resume) && absl::IsNotFound(status))) {
    return Fail(kExitUsage, status);
  }
  if (signal == 0 && WaitedTooLong(status)) {
    return Fail(kExitWaitedTooLong, status);
  }
  return Fail(signal == 0 ? kExitFailed : kExitSignalled + signal, status);
}

int RunOnce(const Job& job, const std::string& dir, const StopRequests& stop,
            const StopOnSignal& signals) {
  ProgressDisplay display;
  const auto result = RunJob(
      job, MakeOptions(dir, absl::GetFlag(FLAGS_servers)), stop, display);
  display.Finish();
  if (!result.ok()) return FailRun(result.status(), signals);
  PrintResult(job, dir, *result);
  const int signal = signals.first_signal();
  return signal == 0 ? kExitOk : kExitSignalled + signal;
}

int Compare(const Job& job, const std::string& dir, const StopRequests& stop,
            const StopOnSignal& signals) {
  ProgressDisplay display;
  std::vector<MethodRun> runs;
  const int n = absl::GetFlag(FLAGS_servers);
  for (const auto& [method, servers] :
       {std::pair(std::string("DDP"), 1),
        std::pair(absl::StrCat("ZeRO x ", n), n)}) {
    display.Print(absl::StrFormat("%s: %d server%s", method, servers,
                                  servers == 1 ? "" : "s"));
    const std::string run_dir = absl::StrCat(dir, "/", servers, "-servers");
    const auto result =
        RunJob(job, MakeOptions(run_dir, servers), stop, display);
    display.Finish();
    if (!result.ok()) return FailRun(result.status(), signals);
    if (stop.count > 0) {
      return FailRun(absl::CancelledError("nothing to compare: the run was "
                                          "stopped before its end"),
                     signals);
    }
    runs.push_back({method, *result});
  }
  std::printf("\n%s\n", CompareTable(runs).c_str());
  const absl::Status written =
      WriteFileAtomically(dir + "/compare.json", CompareJson(runs));
  if (!written.ok()) return Fail(kExitFailed, written);
  const absl::Status same = CheckEquivalence(job, runs[0], runs[1]);
  if (!same.ok()) return Fail(kExitFailed, same);
  std::printf(
      "Same losses and same parameters, to the bit; 1/%d of the state on each "
      "server.\n  parameters     SHA-256 %s\n  table          "
      "%s/compare.json\n",
      n, runs[0].result.params_sha256.c_str(), dir.c_str());
  return kExitOk;
}

int Main() {
  const absl::Status flags = CheckFlags();
  if (!flags.ok()) return Fail(kExitUsage, flags);
  const absl::StatusOr<Job> job = ResolvedJob();
  if (!job.ok()) return Fail(kExitUsage, job.status());
  const std::string resolved = absl::GetFlag(FLAGS_resolve_only);
  if (!resolved.empty()) {
    const absl::Status written =
        WriteFileAtomically(resolved, FormatJobText(job->proto()));
    return written.ok() ? kExitOk : Fail(kExitFailed, written);
  }
  const absl::StatusOr<ShardPlan> plan =
      ShardPlan::Create(job->layout().total_elements(),
                        absl::GetFlag(FLAGS_servers), job->block_bytes());
  if (!plan.ok()) return Fail(kExitUsage, plan.status());
  const absl::StatusOr<std::string> dir = PrepareRunDir(*job);
  if (!dir.ok()) return Fail(kExitUsage, dir.status());
  const absl::Status place = CheckTracePlace(absl::GetFlag(FLAGS_trace_out));
  if (!place.ok()) return Fail(kExitUsage, place);

  StopOnSignal signals;
  StopRequests stop;
  signals.Start([&stop, &signals] {
    if (++stop.count == 1) return;
    std::fputs("\ntessera_launch: given up\n", stderr);
    // Wherever the main thread may be. The kernel kills all children with us.
    std::_Exit(kExitSignalled + signals.first_signal());
  });
  return absl::GetFlag(FLAGS_compare) ? Compare(*job, *dir, stop, signals)
                                      : RunOnce(*job, *dir, stop, signals);
}

}  // namespace
}  // namespace tessera

int main(int argc, char** argv) {
  tessera::ParseFlags(argc, argv, tessera::kUsage,
                      {__FILE__, tessera::kSecurityFlagsFile});
  return tessera::Main();
}
