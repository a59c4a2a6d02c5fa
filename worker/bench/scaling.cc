#include "worker/bench/scaling.h"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"
#include "worker/bench/calibration.h"
#include "worker/bench/fabric.h"
#include "worker/bench/process_usage.h"
#include "worker/bench/progress_line.h"
#include "worker/bench/server_info.h"

namespace tessera::bench {
namespace {

absl::StatusOr<std::unique_ptr<Fabric>> StartFabric(
    const ScalingPoint& point, const ScalingOptions& options,
    const RunEnvironment& environment) {
  FabricOptions fabric{.setting = point.setting,
                       .paths = {options.path},
                       .bench_binary = environment.bench_binary,
                       .server_binary = environment.server_binary,
                       .folder = absl::StrCat(environment.folder, "/scaling")};
  std::filesystem::remove_all(fabric.folder);
  TESSERA_RETURN_IF_ERROR(MakeDirectories(fabric.folder));
  return Fabric::Start(std::move(fabric));
}

absl::StatusOr<ServerMemory> MeasureMemory(const Fabric& fabric) {
  TESSERA_ASSIGN_OR_RETURN(const auto infos,
                           GetServerInfos(fabric.addresses(), {}));
  const std::vector<pid_t> pids = fabric.server_pids();
  ServerMemory most;
  for (size_t i = 0; i < infos.size(); ++i) {
    TESSERA_ASSIGN_OR_RETURN(const ResidentBytes resident, ResidentOf(pids[i]));
    const v1::ShardMemory& memory = infos[i].memory();
    const ServerMemory server{
        .elements = infos[i].elements(),
        .parameter_bytes = memory.parameter_bytes(),
        .older_version_bytes = memory.older_version_bytes(),
        .sum_bytes = memory.gradient_bytes(),
        .optimizer_bytes = memory.optimizer_bytes(),
        .waiting_sum_bytes = memory.extra_gradient_bytes(),
        .peak_resident_bytes = resident.peak};
    if (server.peak_resident_bytes > most.peak_resident_bytes) most = server;
  }
  return most;
}

absl::StatusOr<ScalingResult::Line> RunPoint(const ScalingPoint& point,
                                             const ScalingOptions& options,
                                             const RunEnvironment& environment,
                                             int64_t& values_checked) {
  TESSERA_ASSIGN_OR_RETURN(const auto fabric,
                           StartFabric(point, options, environment));
  RunRequest request{
      .series = {Operation::kPushPull, options.path},
      .blocks = point.setting.blocks,
      .in_flight = std::min(options.in_flight, point.setting.blocks)};
  TESSERA_ASSIGN_OR_RETURN(
      const int64_t checked,
      Calibrate(options.duration_seconds, *fabric, request));
  values_checked += checked;
  std::vector<double> step_ms;
  std::vector<double> gb_per_second;
  for (int i = 0; i < options.repetitions; ++i) {
    TESSERA_ASSIGN_OR_RETURN(const FabricRun run, fabric->Run(request));
    values_checked += run.values_checked;
    step_ms.push_back(run.seconds * 1e3 / static_cast<double>(request.steps));
    gb_per_second.push_back(static_cast<double>(run.bytes) / 1e9 / run.seconds);
  }
  ScalingResult::Line line{
      .point = point,
      .step_ms = Summarize(step_ms),
      .gb_per_second = Summarize(gb_per_second),
      .constant_bytes = ServerConstantBytes(point.setting.shape.workers)};
  TESSERA_ASSIGN_OR_RETURN(line.memory, MeasureMemory(*fabric));
  return line;
}

// For progress: what a point costs against others.
double WeightOf(const ScalingPoint& point, const ScalingOptions& options) {
  const double moved = 2e-9 * static_cast<double>(point.setting.total_bytes()) *
                       point.setting.shape.workers;
  return 1 + options.repetitions * (options.duration_seconds + moved);
}

}  // namespace

bool ScalingResult::Line::within_bound() const {
  const int64_t bound =
      ShardBoundBytes(memory.elements, memory.optimizer_bytes);
  return memory.accounted_bytes() <= bound &&
         memory.peak_resident_bytes <=
             bound + memory.waiting_sum_bytes + constant_bytes;
}

bool ScalingResult::AllWithinBound() const {
  return std::all_of(lines.begin(), lines.end(),
                     [](const Line& line) { return line.within_bound(); });
}

absl::StatusOr<ScalingResult> RunScaling(const ScalingPlan& plan,
                                         const ScalingOptions& options,
                                         const RunEnvironment& environment) {
  ScalingResult result{.left_out = plan.left_out};
  double total = 0;
  for (const ScalingPoint& point : plan.points) {
    total += WeightOf(point, options);
  }
  ProgressLine progress;
  double done = 0;
  for (const ScalingPoint& point : plan.points) {
    progress.Show(done / total,
                  absl::StrCat(FormatBytes(point.setting.total_bytes()), " ",
                               Name(point.setting.shape)));
    TESSERA_ASSIGN_OR_RETURN(
        ScalingResult::Line line,
        RunPoint(point, options, environment, result.values_checked));
    result.lines.push_back(std::move(line));
    done += WeightOf(point, options);
  }
  return result;
}

}  // namespace tessera::bench
