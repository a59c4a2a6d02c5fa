// tessera_bench: how fast gradients and parameters travel. See --help.

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/exit_status.h"
#include "common/base/file.h"
#include "common/base/program.h"
#include "common/base/status_macros.h"
#include "common/base/stop_on_signal.h"
#include "common/rpc/allocator.h"
#include "common/rpc/security_flags.h"
#include "worker/bench/chart.h"
#include "worker/bench/child_roles.h"
#include "worker/bench/child_setup.h"
#include "worker/bench/help.h"
#include "worker/bench/json_report.h"
#include "worker/bench/matrix.h"
#include "worker/bench/options.h"
#include "worker/bench/plan.h"
#include "worker/bench/process_usage.h"
#include "worker/bench/table.h"

ABSL_FLAG(std::string, sizes, "4KiB,64KiB,256KiB,1MiB,4MiB,16MiB,64MiB",
          "Message sizes: bytes of float32 in one block.");
ABSL_FLAG(std::string, shapes, "1x1,2x2", "Workers x servers.");
ABSL_FLAG(std::string, operations, "push,pull,push-pull", "What to measure.");
ABSL_FLAG(std::string, transport, "tcp,shm",
          "tcp, or shm for payload in shared memory, or both.");
ABSL_FLAG(std::string, encoding, "float32",
          "float32, or bfloat16 in both directions (lossy), or both.");
ABSL_FLAG(int, in_flight, 64, "Blocks in flight for each worker, at most.");
ABSL_FLAG(std::string, set_bytes, "16MiB",
          "All blocks of a setting together: as many as give this size, and at "
          "least 4.");
ABSL_FLAG(double, duration, 0.1, "Seconds that one repetition lasts.");
ABSL_FLAG(int, repetitions, 5, "Times that everything is measured, in turns.");
ABSL_FLAG(bool, raw, true, "Measure the raw TCP ceiling.");
ABSL_FLAG(bool, baseline, false,
          "Measure straightforward protobuf over gRPC, with the library's "
          "defaults, too.");
ABSL_FLAG(std::string, json_out, "", "File to write the results to, as JSON.");
ABSL_FLAG(std::string, svg_out, "", "File to draw a chart to.");
ABSL_FLAG(std::string, server_binary, "",
          "Default: ../server/tessera_server, seen from this program.");
ABSL_FLAG(std::string, internal_role, "", "Not for people.");
ABSL_FLAG(std::string, internal_control, "", "Not for people.");

namespace tessera::bench {
namespace {

constexpr int kExitSignalled = 128;

int Fail(int exit_status, const absl::Status& status) {
  std::fprintf(stderr, "tessera_bench: %s\n",
               std::string(status.message()).c_str());
  return exit_status;
}

// With the flag's name before the message.
template <typename Value>
absl::Status Read(absl::string_view flag, absl::StatusOr<Value> parsed,
                  Value& value) {
  if (!parsed.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--", flag, ": ", parsed.status().message()));
  }
  value = *std::move(parsed);
  return absl::OkStatus();
}

absl::StatusOr<BenchOptions> OptionsFromFlags() {
  BenchOptions o;
  TESSERA_RETURN_IF_ERROR(Read(
      "sizes", ParseMessageSizes(absl::GetFlag(FLAGS_sizes)), o.message_bytes));
  TESSERA_RETURN_IF_ERROR(
      Read("shapes", ParseShapes(absl::GetFlag(FLAGS_shapes)), o.shapes));
  TESSERA_RETURN_IF_ERROR(Read("operations",
                               ParseOperations(absl::GetFlag(FLAGS_operations)),
                               o.operations));
  TESSERA_RETURN_IF_ERROR(Read(
      "transport", ParseTransports(absl::GetFlag(FLAGS_transport)), o.paths));
  TESSERA_RETURN_IF_ERROR(Read(
      "encoding", ParseEncodings(absl::GetFlag(FLAGS_encoding)), o.encodings));
  TESSERA_RETURN_IF_ERROR(Read(
      "set_bytes", ParseBytes(absl::GetFlag(FLAGS_set_bytes)), o.set_bytes));
  o.in_flight = absl::GetFlag(FLAGS_in_flight);
  o.duration_seconds = absl::GetFlag(FLAGS_duration);
  o.repetitions = absl::GetFlag(FLAGS_repetitions);
  o.raw = absl::GetFlag(FLAGS_raw);
  o.baseline = absl::GetFlag(FLAGS_baseline);
  if (o.in_flight < 1 || o.in_flight > 4096) {
    return absl::InvalidArgumentError("--in_flight must be from 1 to 4096");
  }
  if (!(o.duration_seconds >= 0.001 && o.duration_seconds <= 600)) {
    return absl::InvalidArgumentError("--duration must be from 0.001 to 600");
  }
  if (o.repetitions < 1 || o.repetitions > 1000) {
    return absl::InvalidArgumentError("--repetitions must be from 1 to 1000");
  }
  return o;
}

// A private folder that goes with the object.
class ScratchFolder {
 public:
  ScratchFolder() {
    const char* base = std::getenv("TMPDIR");
    path_ =
        absl::StrCat(base == nullptr ? "/tmp" : base, "/tessera_bench.XXXXXX");
    if (mkdtemp(path_.data()) == nullptr) path_.clear();
  }
  ~ScratchFolder() { Remove(); }
  void Remove() const {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::string OwnPath() {
  std::error_code ignored;
  return std::filesystem::read_symlink("/proc/self/exe", ignored).string();
}

absl::StatusOr<RunEnvironment> MakeEnvironment(const ScratchFolder& folder) {
  if (folder.path().empty()) return ErrnoStatus("cannot make a folder");
  RunEnvironment environment{
      .bench_binary = OwnPath(),
      .server_binary = absl::GetFlag(FLAGS_server_binary),
      .folder = folder.path()};
  if (environment.server_binary.empty()) {
    environment.server_binary =
        (std::filesystem::path(environment.bench_binary).parent_path() /
         "../server/tessera_server")
            .lexically_normal()
            .string();
  }
  if (access(environment.server_binary.c_str(), X_OK) != 0) {
    return absl::NotFoundError(
        absl::StrCat("there is no program ", environment.server_binary,
                     ": build it, or name it with --server_binary"));
  }
  return environment;
}

absl::Status WriteOutputs(const BenchResult& result) {
  if (const std::string path = absl::GetFlag(FLAGS_json_out); !path.empty()) {
    TESSERA_RETURN_IF_ERROR(
        WriteFileAtomically(path, ToJson(result).dump(2) + "\n"));
  }
  if (const std::string path = absl::GetFlag(FLAGS_svg_out); !path.empty()) {
    TESSERA_RETURN_IF_ERROR(WriteFileAtomically(path, DrawChart(result)));
  }
  return absl::OkStatus();
}

int RunMatrixMode(const BenchOptions& options,
                  const RunEnvironment& environment) {
  const auto available = AvailableBytes();
  if (!available.ok()) return Fail(kExitFailed, available.status());
  const MatrixPlan plan = PlanMatrix(options, *available);
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
  const absl::Status written = WriteOutputs(*result);
  return written.ok() ? kExitOk : Fail(kExitFailed, written);
}

int Main() {
  const auto options = OptionsFromFlags();
  if (!options.ok()) return Fail(kExitUsage, options.status());
  const ScratchFolder folder;
  StopOnSignal signals;
  signals.Start([&] {
    // The kernel ends all children with us.
    folder.Remove();
    std::_Exit(kExitSignalled + signals.first_signal());
  });
  const auto environment = MakeEnvironment(folder);
  if (!environment.ok()) return Fail(kExitUsage, environment.status());
  return RunMatrixMode(*options, *environment);
}

int ChildMain(const std::string& role) {
  if (role != kPlainWorkerRole && role != kBaselineServerRole) {
    KeepFreedMemory();
  }
  const absl::Status status =
      RunChild(role, absl::GetFlag(FLAGS_internal_control));
  return status.ok() ? kExitOk : Fail(kExitFailed, status);
}

}  // namespace
}  // namespace tessera::bench

int main(int argc, char** argv) {
  tessera::ParseFlags(argc, argv, tessera::bench::kHelp,
                      {__FILE__, tessera::kSecurityFlagsFile});
  const std::string role = absl::GetFlag(FLAGS_internal_role);
  return role.empty() ? tessera::bench::Main()
                      : tessera::bench::ChildMain(role);
}
