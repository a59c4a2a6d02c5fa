// tessera_bench: how fast gradients and parameters travel. See --help.

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/exit_status.h"
#include "common/base/file.h"
#include "common/base/program.h"
#include "common/base/status_macros.h"
#include "common/base/stop_on_signal.h"
#include "common/rpc/allocator.h"
#include "common/rpc/security_flags.h"
#include "worker/bench/bench_job.h"
#include "worker/bench/chart.h"
#include "worker/bench/child_roles.h"
#include "worker/bench/flags.h"
#include "worker/bench/help.h"
#include "worker/bench/json_report.h"
#include "worker/bench/matrix.h"
#include "worker/bench/plan.h"
#include "worker/bench/process_usage.h"
#include "worker/bench/running_servers.h"
#include "worker/bench/scaling.h"
#include "worker/bench/scratch_folder.h"
#include "worker/bench/table.h"

namespace tessera::bench {
namespace {

constexpr int kExitSignalled = 128;

int Fail(int exit_status, const absl::Status& status) {
  std::fprintf(stderr, "tessera_bench: %s\n",
               std::string(status.message()).c_str());
  return exit_status;
}

absl::Status WriteIfWanted(const std::string& path, const std::string& text) {
  return path.empty() ? absl::OkStatus() : WriteFileAtomically(path, text);
}

// The first of each list, as one setting.
Setting FirstSetting(const BenchOptions& options) {
  const Shape shape = options.shapes[0];
  const int64_t bytes = options.message_bytes[0];
  return {.message_bytes = bytes,
          .blocks = BlocksFor(bytes, shape.servers, options.set_bytes),
          .shape = shape,
          .encoding = options.encodings[0]};
}

absl::StatusOr<RunEnvironment> MakeEnvironment(const BenchFlags& flags,
                                               const std::string& folder) {
  RunEnvironment environment{.bench_binary = OwnPath(),
                             .server_binary = flags.server_binary,
                             .folder = folder,
                             .running_raw = flags.raw_servers_at};
  if (environment.server_binary.empty()) {
    environment.server_binary = InstalledProgram("server/tessera_server");
  }
  if (flags.servers_at.empty() &&
      access(environment.server_binary.c_str(), X_OK) != 0) {
    return absl::NotFoundError(
        absl::StrCat("there is no program ", environment.server_binary,
                     ": build it, or name it with --server_binary"));
  }
  return environment;
}

int Measure(const BenchFlags& flags, const BenchOptions& options,
            const MatrixPlan& plan, const RunEnvironment& environment) {
  for (const std::string& line : plan.left_out) {
    std::fprintf(stderr, "left out: %s\n", line.c_str());
  }
  if (plan.groups.empty()) {
    return Fail(kExitUsage, absl::InvalidArgumentError("nothing to measure"));
  }
  std::fprintf(stderr, "This takes about %.0f seconds.\n",
               EstimateSeconds(plan, options));
  const auto result = RunMatrix(plan, options, environment);
  if (!result.ok()) return Fail(kExitFailed, result.status());
  std::fputs(FormatResult(*result).c_str(), stdout);
  absl::Status written =
      WriteIfWanted(flags.json_out, ToJson(*result).dump(2) + "\n");
  written.Update(WriteIfWanted(flags.svg_out, DrawChart(*result)));
  return written.ok() ? kExitOk : Fail(kExitFailed, written);
}

int MeasureMatrix(const BenchFlags& flags, const RunEnvironment& environment) {
  const auto available = AvailableBytes();
  if (!available.ok()) return Fail(kExitFailed, available.status());
  return Measure(flags, flags.matrix, PlanMatrix(flags.matrix, *available),
                 environment);
}

int MeasureRunning(const BenchFlags& flags, RunEnvironment environment) {
  const auto servers = AskServers(flags.servers_at, SecurityFromFlags(),
                                  flags.matrix.shapes[0].workers, flags.force);
  if (!servers.ok()) {
    return Fail(
        absl::IsFailedPrecondition(servers.status()) ? kExitUsage : kExitFailed,
        servers.status());
  }
  environment.running = &*servers;
  BenchOptions options = flags.matrix;
  options.raw = options.raw && !flags.raw_servers_at.empty();
  options.baseline = false;
  std::fputs("The servers' parameters are overwritten.\n", stderr);
  return Measure(flags, options, PlanFor(servers->setting, options),
                 environment);
}

int MeasureScaling(const BenchFlags& flags, const RunEnvironment& environment) {
  const auto available = AvailableBytes();
  if (!available.ok()) return Fail(kExitFailed, available.status());
  const ScalingPlan plan = PlanScaling(flags.scaling, *available);
  for (const std::string& line : plan.left_out) {
    std::fprintf(stderr, "left out: %s\n", line.c_str());
  }
  const auto result = RunScaling(plan, flags.scaling, environment);
  if (!result.ok()) return Fail(kExitFailed, result.status());
  std::fputs(FormatScaling(*result).c_str(), stdout);
  const absl::Status written =
      WriteIfWanted(flags.json_out, ToJson(*result).dump(2) + "\n");
  if (!written.ok()) return Fail(kExitFailed, written);
  return result->AllWithinBound() ? kExitOk : kExitFailed;
}

int WriteJob(const BenchFlags& flags) {
  const auto job = MakeBenchJob(FirstSetting(flags.matrix));
  if (!job.ok()) return Fail(kExitUsage, job.status());
  const absl::Status written =
      WriteFileAtomically(flags.write_job, FormatJobText(job->proto()));
  return written.ok() ? kExitOk : Fail(kExitFailed, written);
}

int Main(const BenchFlags& flags) {
  StopOnSignal signals;
  auto folder = ScratchFolder::Create();
  if (!folder.ok()) return Fail(kExitFailed, folder.status());
  signals.Start([&] {
    // The kernel ends all children with us.
    folder->Remove();
    std::_Exit(kExitSignalled + signals.first_signal());
  });
  auto environment = MakeEnvironment(flags, folder->path());
  if (!environment.ok()) return Fail(kExitUsage, environment.status());
  if (flags.mode == Mode::kScaling) return MeasureScaling(flags, *environment);
  return flags.servers_at.empty() ? MeasureMatrix(flags, *environment)
                                  : MeasureRunning(flags, *environment);
}

int Dispatch() {
  const auto flags = ReadBenchFlags();
  if (!flags.ok()) return Fail(kExitUsage, flags.status());
  if (KeepsFreedMemory(flags->child_role)) KeepFreedMemory();
  switch (flags->mode) {
    case Mode::kChild: {
      const absl::Status status =
          RunChild(flags->child_role, flags->child_control);
      return status.ok() ? kExitOk : Fail(kExitFailed, status);
    }
    case Mode::kServeRaw:
      // Ends only with an error.
      return Fail(kExitFailed, ServeRawAt(flags->serve_raw, flags->shard,
                                          FirstSetting(flags->matrix)));
    case Mode::kWriteJob:
      return WriteJob(*flags);
    case Mode::kMatrix:
    case Mode::kScaling:
      break;
  }
  return Main(*flags);
}

}  // namespace
}  // namespace tessera::bench

int main(int argc, char** argv) {
  tessera::ParseFlags(
      argc, argv, tessera::bench::kHelp,
      {tessera::bench::kBenchFlagsFile, tessera::kSecurityFlagsFile});
  return tessera::bench::Dispatch();
}
