#include "worker/bench/flags.h"

#include <utility>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/status_macros.h"

ABSL_FLAG(std::string, mode, "matrix",
          "matrix: speed over sizes, shapes and transports. scaling: time per "
          "step and memory per server as the work grows.");
ABSL_FLAG(std::string, sizes, "4KiB,64KiB,256KiB,1MiB,4MiB,16MiB,64MiB",
          "Message sizes: bytes of float32 in one block, multiples of 64.");
ABSL_FLAG(std::string, shapes, "1x1,2x2",
          "Workers x servers, each a process. With --servers_at only the "
          "number of workers counts.");
ABSL_FLAG(std::string, operations, "push-pull",
          "What to measure: push, pull, push-pull.");
ABSL_FLAG(std::string, transport, "tcp,shm",
          "tcp, or shm for payload in shared memory, or both.");
ABSL_FLAG(std::string, encoding, "float32",
          "float32, or bfloat16 in both directions (lossy), or both.");
ABSL_FLAG(int, in_flight, 64, "Blocks in flight for each worker, at most.");
ABSL_FLAG(std::string, set_bytes, "16MiB",
          "All blocks of a setting together: as many as give this size, and at "
          "least 4.");
ABSL_FLAG(double, duration, 0.1,
          "Seconds that one repetition lasts, or one step where that takes "
          "longer.");
ABSL_FLAG(int, repetitions, 5, "Times that everything is measured, in turns.");
ABSL_FLAG(bool, raw, true, "Measure the raw TCP ceiling.");
ABSL_FLAG(bool, baseline, false,
          "Measure straightforward protobuf over gRPC, with the library's "
          "defaults, too.");
ABSL_FLAG(std::string, json_out, "", "File to write the results to, as JSON.");
ABSL_FLAG(std::string, svg_out, "", "File to draw a chart to (matrix only).");
ABSL_FLAG(std::string, server_binary, "",
          "Default: ../server/tessera_server, seen from this program.");

ABSL_FLAG(std::string, servers_at, "",
          "Addresses host:port,host:port, in shard order, of Tessera's servers "
          "to measure with, instead of starting some. Size, blocks and "
          "encoding are those of their job. OVERWRITES THEIR PARAMETERS.");
ABSL_FLAG(bool, force, false,
          "With --servers_at: also where the job is not a benchmark's.");
ABSL_FLAG(std::string, write_job, "",
          "Write the job for such servers to this file and exit: the first of "
          "--sizes, --shapes and --encoding.");
ABSL_FLAG(std::string, raw_servers_at, "",
          "With --servers_at: addresses of as many raw TCP servers (see "
          "--serve_raw), for the ceiling.");
ABSL_FLAG(std::string, serve_raw, "",
          "Be a raw TCP server on this address, host:port, for the first of "
          "--sizes and --shapes. It trusts whoever connects.");
ABSL_FLAG(int, shard, 0, "With --serve_raw: which shard, from 0.");

ABSL_FLAG(std::string, scaling_servers, "1,2,4,8", "Scaling: servers.");
ABSL_FLAG(std::string, scaling_workers, "1,2,4,8,16", "Scaling: workers.");
ABSL_FLAG(std::string, scaling_bytes, "1MiB,16MiB,256MiB,1GiB",
          "Scaling: bytes of parameters.");
ABSL_FLAG(std::string, scaling_base, "2x2",
          "Scaling: workers x servers while something else grows.");
ABSL_FLAG(std::string, scaling_base_bytes, "64MiB",
          "Scaling: bytes of parameters while something else grows.");

ABSL_FLAG(std::string, internal_role, "", "Not for people.");
ABSL_FLAG(int, internal_control, -1, "Not for people.");

namespace tessera::bench {
namespace {

constexpr int kMaxProcesses = 64;

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

absl::Status CheckNumbers(const BenchOptions& options) {
  if (options.in_flight < 1 || options.in_flight > 4096) {
    return absl::InvalidArgumentError("--in_flight must be from 1 to 4096");
  }
  if (!(options.duration_seconds >= 0.001 && options.duration_seconds <= 600)) {
    return absl::InvalidArgumentError("--duration must be from 0.001 to 600");
  }
  if (options.repetitions < 1 || options.repetitions > 1000) {
    return absl::InvalidArgumentError("--repetitions must be from 1 to 1000");
  }
  return absl::OkStatus();
}

absl::Status ReadMatrix(BenchOptions& o) {
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
  return CheckNumbers(o);
}

absl::Status ReadScaling(const BenchOptions& matrix, ScalingOptions& o) {
  TESSERA_RETURN_IF_ERROR(
      Read("scaling_servers",
           ParseCounts(absl::GetFlag(FLAGS_scaling_servers), kMaxProcesses),
           o.servers));
  TESSERA_RETURN_IF_ERROR(
      Read("scaling_workers",
           ParseCounts(absl::GetFlag(FLAGS_scaling_workers), kMaxProcesses),
           o.workers));
  TESSERA_RETURN_IF_ERROR(Read(
      "scaling_bytes", ParseMessageSizes(absl::GetFlag(FLAGS_scaling_bytes)),
      o.parameter_bytes));
  std::vector<Shape> base;
  TESSERA_RETURN_IF_ERROR(Read(
      "scaling_base", ParseShapes(absl::GetFlag(FLAGS_scaling_base)), base));
  o.base = base[0];
  std::vector<int64_t> base_bytes;
  TESSERA_RETURN_IF_ERROR(Read(
      "scaling_base_bytes",
      ParseMessageSizes(absl::GetFlag(FLAGS_scaling_base_bytes)), base_bytes));
  o.base_bytes = base_bytes[0];
  o.path = matrix.paths[0];
  o.in_flight = matrix.in_flight;
  o.duration_seconds = matrix.duration_seconds;
  o.repetitions = matrix.repetitions;
  return absl::OkStatus();
}

std::vector<std::string> Addresses(const std::string& flag) {
  if (flag.empty()) return {};
  return absl::StrSplit(flag, ',');
}

absl::Status ReadMode(BenchFlags& flags) {
  const std::string mode = absl::GetFlag(FLAGS_mode);
  if (mode != "matrix" && mode != "scaling") {
    return absl::InvalidArgumentError(
        absl::StrCat("--mode: \"", mode, "\" is not matrix or scaling"));
  }
  flags.mode = mode == "matrix" ? Mode::kMatrix : Mode::kScaling;
  if (!flags.serve_raw.empty()) flags.mode = Mode::kServeRaw;
  if (!flags.write_job.empty()) flags.mode = Mode::kWriteJob;
  if (flags.mode != Mode::kMatrix && !flags.servers_at.empty()) {
    return absl::InvalidArgumentError("--servers_at is for --mode=matrix");
  }
  if (!flags.raw_servers_at.empty() &&
      flags.raw_servers_at.size() != flags.servers_at.size()) {
    return absl::InvalidArgumentError(
        "--raw_servers_at must list as many servers as --servers_at");
  }
  return absl::OkStatus();
}

}  // namespace

const char kBenchFlagsFile[] = __FILE__;

absl::StatusOr<BenchFlags> ReadBenchFlags() {
  BenchFlags flags{.child_role = absl::GetFlag(FLAGS_internal_role),
                   .child_control = absl::GetFlag(FLAGS_internal_control)};
  if (!flags.child_role.empty()) {
    flags.mode = Mode::kChild;
    return flags;
  }
  flags.json_out = absl::GetFlag(FLAGS_json_out);
  flags.svg_out = absl::GetFlag(FLAGS_svg_out);
  flags.server_binary = absl::GetFlag(FLAGS_server_binary);
  flags.servers_at = Addresses(absl::GetFlag(FLAGS_servers_at));
  flags.raw_servers_at = Addresses(absl::GetFlag(FLAGS_raw_servers_at));
  flags.force = absl::GetFlag(FLAGS_force);
  flags.serve_raw = absl::GetFlag(FLAGS_serve_raw);
  flags.shard = absl::GetFlag(FLAGS_shard);
  flags.write_job = absl::GetFlag(FLAGS_write_job);
  TESSERA_RETURN_IF_ERROR(ReadMode(flags));
  TESSERA_RETURN_IF_ERROR(ReadMatrix(flags.matrix));
  TESSERA_RETURN_IF_ERROR(ReadScaling(flags.matrix, flags.scaling));
  return flags;
}

}  // namespace tessera::bench
