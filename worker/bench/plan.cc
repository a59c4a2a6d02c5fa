#include "worker/bench/plan.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "absl/strings/str_cat.h"

namespace tessera::bench {
namespace {

constexpr int kMinBlocks = 4;
// Of what is free: the rest is for everything else.
constexpr double kMemoryShare = 0.8;

// Of a latency run, so that its steps are short.
constexpr int64_t kLatencyBytes = int64_t{16} << 20;
constexpr int64_t kMaxLatencyBlocks = 16;

// Guesses for the estimate only.
constexpr double kStartSeconds = 0.5;
constexpr double kStartSecondsPerByte = 6e-9;
constexpr double kBytesPerSecond = 4e9;
constexpr double kCheckBytesPerSecond = 1e10;
// Runs that find out how many steps a repetition has.
constexpr double kCalibrationRuns = 1.3;

std::vector<Series> ThroughputOf(const BenchOptions& options,
                                 v1::Encoding encoding) {
  std::vector<Series> all;
  for (Operation operation : options.operations) {
    if (options.raw) all.push_back({operation, Path::kRawTcp});
    for (Path path : options.paths) {
      // A push has no values to read in place; bfloat16 must be expanded.
      if (path == Path::kSharedInPlace && (operation != Operation::kPushPull ||
                                           encoding != v1::ENCODING_FLOAT32)) {
        continue;
      }
      all.push_back({operation, path});
    }
    if (options.baseline && encoding == v1::ENCODING_FLOAT32) {
      all.push_back({operation, Path::kGrpcDefaults});
    }
  }
  return all;
}

std::vector<Series> LatencyOf(const std::vector<Series>& throughput) {
  std::vector<Series> all;
  for (const Series& series : throughput) {
    all.push_back(series);
    if (series == Series{Operation::kPushPull, Path::kRawTcp}) {
      all.push_back({Operation::kPushThenPull, Path::kRawTcp});
    }
  }
  return all;
}

bool IsPowerOfTwo(int number) {
  return std::has_single_bit(static_cast<unsigned>(number));
}

// Why a setting cannot be; empty if it can.
std::string Obstacle(const Setting& setting, const BenchOptions& options,
                     int64_t available_bytes) {
  if (setting.encoding == v1::ENCODING_BFLOAT16 &&
      !IsPowerOfTwo(setting.shape.workers)) {
    return "bfloat16 is measured with 1, 2, 4, 8, ... workers";
  }
  const int64_t needed = MemoryBytes(setting, options);
  if (static_cast<double>(needed) >
      kMemoryShare * static_cast<double>(available_bytes)) {
    return absl::StrCat("needs ", FormatBytes(needed), " of memory, ",
                        FormatBytes(available_bytes), " are free");
  }
  return "";
}

}  // namespace

int BlocksFor(int64_t message_bytes, int servers, int64_t set_bytes) {
  const int64_t wanted = std::max<int64_t>(
      {kMinBlocks, servers, (set_bytes + message_bytes - 1) / message_bytes});
  return static_cast<int>((wanted + servers - 1) / servers * servers);
}

int LatencyBlocks(const Setting& setting) {
  const int64_t wanted = std::clamp<int64_t>(
      kLatencyBytes / setting.message_bytes, 1, kMaxLatencyBlocks);
  const int64_t servers = setting.shape.servers;
  return static_cast<int>(std::min<int64_t>(
      setting.blocks, (wanted + servers - 1) / servers * servers));
}

double LatencySeconds(const BenchOptions& options) {
  return options.duration_seconds / 4;
}

int64_t MemoryBytes(const Setting& setting, const BenchOptions& options) {
  const int64_t vector = setting.total_bytes();
  const int64_t fabrics =
      1 + (options.raw ? 1 : 0) + (options.baseline ? 1 : 0);
  // A worker's gradient and values, and what sets values to 0 at the start; the
  // servers' versions and sums, and what is on its way.
  return fabrics * vector * (3 * setting.shape.workers + 4);
}

MatrixPlan PlanFor(const Setting& setting, const BenchOptions& options) {
  Group group{.setting = setting,
              .in_flight = std::min(options.in_flight, setting.blocks),
              .throughput = ThroughputOf(options, setting.encoding)};
  group.latency = LatencyOf(group.throughput);
  return {.groups = {std::move(group)}};
}

MatrixPlan PlanMatrix(const BenchOptions& options, int64_t available_bytes) {
  MatrixPlan plan;
  for (v1::Encoding encoding : options.encodings) {
    for (const Shape& shape : options.shapes) {
      for (int64_t bytes : options.message_bytes) {
        const Setting setting{
            .message_bytes = bytes,
            .blocks = BlocksFor(bytes, shape.servers, options.set_bytes),
            .shape = shape,
            .encoding = encoding};
        const std::string obstacle =
            Obstacle(setting, options, available_bytes);
        if (!obstacle.empty()) {
          plan.left_out.push_back(absl::StrCat(FormatBytes(bytes), " ",
                                               Name(shape), " ", Name(encoding),
                                               ": ", obstacle));
          continue;
        }
        plan.groups.push_back(PlanFor(setting, options).groups[0]);
      }
    }
  }
  return plan;
}

double EstimateSeconds(const Group& group, const BenchOptions& options) {
  const double set = static_cast<double>(group.setting.total_bytes()) *
                     group.setting.shape.workers;
  const double step = 2 * set / kBytesPerSecond;
  const double check = 2 * set / kCheckBytesPerSecond;
  const double runs = options.repetitions + kCalibrationRuns;
  const double throughput = std::max(options.duration_seconds, step) + check;
  const double latency =
      std::max(options.duration_seconds / 2, step / 2) + check;
  return kStartSeconds + kStartSecondsPerByte * set * 4 +
         runs * (static_cast<double>(group.throughput.size()) * throughput +
                 static_cast<double>(group.latency.size()) * latency);
}

double EstimateSeconds(const MatrixPlan& plan, const BenchOptions& options) {
  double seconds = 0;
  for (const Group& group : plan.groups) {
    seconds += EstimateSeconds(group, options);
  }
  return seconds;
}

}  // namespace tessera::bench
