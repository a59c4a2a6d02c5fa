// What recovery and checkpoints cost, in figures for people. See --help.

#include <signal.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/substitute.h"
#include "absl/time/clock.h"
#include "common/base/check.h"
#include "common/base/exit_status.h"
#include "common/base/file.h"
#include "common/base/program.h"
#include "common/base/status_macros.h"
#include "tests/soak/recovery_clock.h"
#include "tests/soak/soak_run.h"

ABSL_FLAG(int, shard_mib, 64, "MiB of parameters on each server.");
ABSL_FLAG(int, servers, 1, "Servers, the first of which is shard 0's.");
ABSL_FLAG(int, workers, 1, "Workers.");
ABSL_FLAG(int, kills, 10, "Deaths of servers to measure; 0 for none.");
ABSL_FLAG(int, pairs, 3,
          "Runs with checkpoints, and as many without; 0 for none.");
ABSL_FLAG(int, steps, 200, "Steps of each of those.");
ABSL_FLAG(int, checkpoint_every_steps, 20,
          "In the runs that have checkpoints.");
ABSL_FLAG(int, set_mib, 256,
          "MiB of the checkpoints that are timed: parameters and momentum.");
ABSL_FLAG(int, sets, 5, "Checkpoints to time; 0 for none.");

namespace tessera {
namespace {

constexpr char kUsage[] =
    R"(Runs jobs on this machine and prints what recovery and checkpoints cost:

  recovery     from a server's kill -9 to the next step that is complete
  step time    with checkpoints and without, in runs that take turns
  checkpoints  bytes and seconds of one

  bazel run //tests/soak:recovery_figures -- --shard_mib=64

Means something on a machine that does nothing else. Files go to TEST_TMPDIR,
or to /tmp: where that lies decides what a checkpoint's time is the time of.)";

constexpr int kFeatures = 1024;
// The launcher pauses before it starts a server again that died sooner after
// its start.
constexpr absl::Duration kLongLife = absl::Seconds(10);
constexpr int64_t kMib = int64_t{1} << 20;

// A dense layer of so many parameters, and momentum for each.
constexpr char kJob[] = R"pb(
  name: "figures"
  data_set {
    generated_linear {
      features: $0
      outputs: $1
      train_examples: 64
      test_examples: 2
      noise_stddev: 0.1
    }
  }
  model {
    layers { dense {} }
    loss: LOSS_MEAN_SQUARED_ERROR
  }
  batch_size: 2
  microbatches: 2
  optimizer { sgd { momentum: 0.9 } }
  learning_rate { base: 0.001 }
  seed: 5
  stop { steps: $2 }
  evaluation { every_steps: $2 }
  operation { checkpoint { every_steps: $3 keep: 1 } }
)pb";

std::string WriteJob(int64_t parameter_bytes, int64_t steps) {
  const int64_t outputs =
      parameter_bytes / (kFeatures * int64_t{sizeof(float)});
  const std::string path = NewScratchFolder() + "/job.textproto";
  TESSERA_CHECK(
      WriteFileAtomically(
          path,
          absl::Substitute(kJob, kFeatures, std::max<int64_t>(outputs, 1),
                           steps, absl::GetFlag(FLAGS_checkpoint_every_steps)))
          .ok());
  return path;
}

SoakRunOptions RunOptions(int64_t steps, int64_t parameter_bytes) {
  return {.job_file = WriteJob(parameter_bytes, steps),
          .servers = absl::GetFlag(FLAGS_servers),
          .workers = absl::GetFlag(FLAGS_workers),
          .extra_flags = {"--lease_seconds=10"}};
}

int64_t ModelBytes() {
  return absl::GetFlag(FLAGS_shard_mib) * kMib * absl::GetFlag(FLAGS_servers);
}

absl::Status Failed(const SoakRun& run, const std::string& what) {
  return absl::InternalError(absl::StrCat(what, "\n", run.Logs()));
}

// Looks at the run every few milliseconds until `condition` holds of a status.
absl::Status LookUntil(
    SoakRun& run, const std::string& what,
    const std::function<bool(const v1::GetStatusResponse&)>& condition) {
  constexpr absl::Duration kLongest = absl::Minutes(5);
  const absl::Time deadline = absl::Now() + kLongest;
  while (absl::Now() < deadline && !run.HasEnded()) {
    const auto status = run.Status();
    if (status.has_value() && condition(*status)) return absl::OkStatus();
    absl::SleepFor(absl::Milliseconds(2));
  }
  return Failed(run, absl::StrCat("there was never ", what));
}

void Discard(const SoakRun& run) {
  std::error_code ignored;
  std::filesystem::remove_all(run.checkpoint_dir(), ignored);
}

// One death and what came after it.
absl::Status KillOne(SoakRun& run, int shard, RecoveryClock& clock) {
  absl::SleepFor(kLongLife);
  int64_t newest = -1;
  TESSERA_RETURN_IF_ERROR(
      LookUntil(run, "a checkpoint", [&](const v1::GetStatusResponse& status) {
        clock.OnStatus(status, absl::Now());
        const int64_t version = status.checkpoint().newest_version();
        if (newest < 0) newest = version;
        // A new one, so that all kills find the same.
        return version > std::max<int64_t>(newest, 0) &&
               status.phase() == v1::PHASE_TRAINING;
      }));
  const std::optional<pid_t> pid = run.Server(shard);
  if (!pid.has_value()) return Failed(run, "there is no server to kill");
  kill(*pid, SIGKILL);
  clock.OnDeath(absl::Now());
  return LookUntil(run, "a step after a server's death",
                   [&](const v1::GetStatusResponse& status) {
                     clock.OnStatus(status, absl::Now());
                     return !clock.is_recovering();
                   });
}

absl::Status MeasureRecovery() {
  SoakRun run(RunOptions(100000000, ModelBytes()));
  RecoveryClock clock;
  for (int i = 0; i < absl::GetFlag(FLAGS_kills); ++i) {
    TESSERA_RETURN_IF_ERROR(
        KillOne(run, i % absl::GetFlag(FLAGS_servers), clock));
  }
  std::printf("recovery, %d MiB of parameters a server: %s\n",
              absl::GetFlag(FLAGS_shard_mib),
              DescribeTimes(clock.recoveries()).c_str());
  Discard(run);
  return absl::OkStatus();
}

// From the first step that the launcher has seen to the last.
double StepMilliseconds(const SoakRun& run) {
  std::vector<std::pair<int64_t, double>> steps;
  const std::string metrics =
      ReadFile(run.run_dir() + "/metrics.jsonl").value_or("");
  for (const auto line : absl::StrSplit(metrics, '\n', absl::SkipEmpty())) {
    const auto entry = nlohmann::json::parse(line, nullptr, false);
    if (entry.is_discarded() || entry["kind"] != "step") continue;
    steps.emplace_back(entry["step"], entry["seconds"]);
  }
  if (steps.size() < 2) return 0;
  return 1000 * (steps.back().second - steps.front().second) /
         static_cast<double>(steps.back().first - steps.front().first);
}

absl::StatusOr<double> TimeSteps(bool with_checkpoints) {
  SoakRunOptions options = RunOptions(absl::GetFlag(FLAGS_steps), ModelBytes());
  options.with_checkpoints = with_checkpoints;
  SoakRun run(options);
  const auto ending = run.launcher().Wait(absl::Minutes(20));
  if (!ending || ending->exit_status != 0) {
    return Failed(run, "a run did not end well");
  }
  Discard(run);
  return StepMilliseconds(run);
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return (values[(values.size() - 1) / 2] + values[values.size() / 2]) / 2;
}

absl::Status MeasureStepTime() {
  std::vector<double> with;
  std::vector<double> without;
  for (int i = 0; i < absl::GetFlag(FLAGS_pairs); ++i) {
    TESSERA_ASSIGN_OR_RETURN(const double plain, TimeSteps(false));
    TESSERA_ASSIGN_OR_RETURN(const double checkpointed, TimeSteps(true));
    without.push_back(plain);
    with.push_back(checkpointed);
    std::printf("  a step: %.2f ms without, %.2f ms with checkpoints\n", plain,
                checkpointed);
  }
  std::printf(
      "step time, medians of %zu runs: %.2f ms without checkpoints, %.2f ms "
      "with one every %d steps; ratio %.3f\n",
      with.size(), Median(without), Median(with),
      absl::GetFlag(FLAGS_checkpoint_every_steps),
      Median(with) / std::max(Median(without), 1e-9));
  return absl::OkStatus();
}

absl::Status MeasureCheckpoints() {
  SoakRun run(RunOptions(100000000, absl::GetFlag(FLAGS_set_mib) * kMib / 2));
  int64_t newest = 0;
  std::vector<absl::Duration> times;
  int64_t bytes = 0;
  TESSERA_RETURN_IF_ERROR(LookUntil(
      run, "as many checkpoints as were asked for",
      [&](const v1::GetStatusResponse& status) {
        const v1::CheckpointStatus& checkpoint = status.checkpoint();
        if (checkpoint.newest_version() <= newest) return false;
        newest = checkpoint.newest_version();
        times.push_back(absl::Milliseconds(checkpoint.duration_ms()));
        bytes = checkpoint.bytes();
        return static_cast<int>(times.size()) >= absl::GetFlag(FLAGS_sets);
      }));
  std::printf("a checkpoint of %lld bytes, while training goes on: %s\n",
              static_cast<long long>(bytes), DescribeTimes(times).c_str());
  Discard(run);
  return absl::OkStatus();
}

int Main() {
  AdoptOrphans();
  struct Measurement {
    int times;
    absl::Status (*measure)();
  };
  for (const auto& [times, measure] :
       {Measurement{absl::GetFlag(FLAGS_kills), MeasureRecovery},
        Measurement{absl::GetFlag(FLAGS_pairs), MeasureStepTime},
        Measurement{absl::GetFlag(FLAGS_sets), MeasureCheckpoints}}) {
    if (times == 0) continue;
    const absl::Status status = measure();
    std::fflush(stdout);
    if (status.ok()) continue;
    std::fprintf(stderr, "recovery_figures: %s\n",
                 std::string(status.message()).c_str());
    return kExitFailed;
  }
  return kExitOk;
}

}  // namespace
}  // namespace tessera

int main(int argc, char** argv) {
  tessera::ParseFlags(argc, argv, tessera::kUsage, {__FILE__});
  return tessera::Main();
}
