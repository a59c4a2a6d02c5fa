// tessera_launch: runs a job on this machine and reports on it. See --help.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/exit_status.h"
#include "common/base/file.h"
#include "common/base/program.h"
#include "common/base/stop_on_signal.h"
#include "common/job/job.h"
#include "common/plan/shard_plan.h"
#include "common/rpc/security_flags.h"
#include "common/trace/trace_output.h"
#include "deploy/launch/compare.h"
#include "deploy/launch/flags.h"
#include "deploy/launch/run.h"
#include "deploy/report/progress.h"

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
      job, OptionsFromFlags(dir, absl::GetFlag(FLAGS_servers)), stop, display);
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
        RunJob(job, OptionsFromFlags(run_dir, servers), stop, display);
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
  const absl::Status flags = CheckLaunchFlags();
  if (!flags.ok()) return Fail(kExitUsage, flags);
  const absl::StatusOr<Job> job = JobFromFlags();
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
  const absl::StatusOr<std::string> dir = MakeRunDir(*job);
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
                      {tessera::kLaunchFlagsFile, tessera::kSecurityFlagsFile});
  return tessera::Main();
}
