#include "worker/bench/scaling_plan.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace tessera::bench {
namespace {

constexpr int64_t kBlockBytes = int64_t{1} << 20;
constexpr int64_t kBlockGrain = 64;
constexpr int64_t kBlocksPerServer = 4;
// Of what is free: the rest is for everything else.
constexpr double kMemoryShare = 0.8;

constexpr int64_t kBytesPerParameter = 4;
// The version that is served, the next one, and the sums.
constexpr int64_t kCopies = 3;

// Program, libraries, threads, gRPC.
constexpr int64_t kProgramBytes = int64_t{32} << 20;
// Connection, and what is on its way.
constexpr int64_t kBytesPerWorker = int64_t{4} << 20;

Setting SettingOf(int64_t parameter_bytes, const Shape& shape) {
  int64_t block = std::min(
      kBlockBytes, parameter_bytes / (kBlocksPerServer * shape.servers));
  block = std::max(kBlockGrain, block / kBlockGrain * kBlockGrain);
  return {.message_bytes = block,
          .blocks = static_cast<int>(
              std::max<int64_t>(parameter_bytes / block, shape.servers)),
          .shape = shape};
}

}  // namespace

absl::string_view Name(Grown grown) {
  switch (grown) {
    case Grown::kParameters:
      return "parameters";
    case Grown::kServers:
      return "servers";
    case Grown::kWorkers:
      return "workers";
  }
  return "?";
}

int64_t ScalingMemoryBytes(const Setting& setting) {
  // A worker's gradient and values, and what sets values to 0 at the start.
  return setting.total_bytes() * (3 * setting.shape.workers + kCopies) +
         ServerConstantBytes(setting.shape.workers) *
             (setting.shape.servers + setting.shape.workers);
}

int64_t ServerConstantBytes(int workers) {
  return kProgramBytes + workers * kBytesPerWorker;
}

int64_t ShardBoundBytes(int64_t elements, int64_t optimizer_bytes) {
  return kCopies * kBytesPerParameter * elements + optimizer_bytes;
}

ScalingPlan PlanScaling(const ScalingOptions& options,
                        int64_t available_bytes) {
  ScalingPlan plan;
  const auto add = [&](Grown grown, int64_t bytes, const Shape& shape) {
    const Setting setting = SettingOf(bytes, shape);
    const int64_t needed = ScalingMemoryBytes(setting);
    if (static_cast<double>(needed) <=
        kMemoryShare * static_cast<double>(available_bytes)) {
      plan.points.push_back({grown, setting});
      return;
    }
    plan.left_out.push_back(absl::StrCat(
        FormatBytes(bytes), " ", Name(shape), ": needs ", FormatBytes(needed),
        " of memory, ", FormatBytes(available_bytes), " are free"));
  };
  for (int64_t bytes : options.parameter_bytes) {
    add(Grown::kParameters, bytes, options.base);
  }
  for (int servers : options.servers) {
    add(Grown::kServers, options.base_bytes, {options.base.workers, servers});
  }
  for (int workers : options.workers) {
    add(Grown::kWorkers, options.base_bytes, {workers, options.base.servers});
  }
  return plan;
}

}  // namespace tessera::bench
