#include "worker/bench/group_runner.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"
#include "worker/bench/calibration.h"

namespace tessera::bench {
namespace {

constexpr double kBytesPerGb = 1e9;

// A series, how long its runs are, and what they gave.
struct Measured {
  Series series;
  bool is_latency = false;
  RunRequest request;
  std::vector<double> gb_per_second;
  std::vector<double> cpu_seconds_per_gb;
  std::vector<double> latencies_us;
};

class GroupRunner {
 public:
  GroupRunner(const Group& group, const BenchOptions& options,
              const RunEnvironment& environment,
              const std::function<void(double)>& on_progress)
      : group_(group),
        options_(options),
        environment_(environment),
        on_progress_(on_progress) {
    for (const Series& series : group.throughput) Add(series, false);
    for (const Series& series : group.latency) Add(series, true);
    // What goes one way is done together: going another takes a new connection.
    std::stable_sort(measured_.begin(), measured_.end(),
                     [](const Measured& a, const Measured& b) {
                       return TurnOf(a.series.path) < TurnOf(b.series.path);
                     });
  }

  absl::StatusOr<GroupResult> Run() {
    TESSERA_RETURN_IF_ERROR(StartFabrics());
    const double turns = options_.repetitions + 1;
    double done = 0;
    const auto moved_on = [&] {
      on_progress_(++done / turns / static_cast<double>(measured_.size()));
    };
    for (Measured& m : measured_) {
      TESSERA_ASSIGN_OR_RETURN(
          const int64_t checked,
          Calibrate(m.is_latency ? LatencySeconds(options_)
                                 : options_.duration_seconds,
                    *fabrics_[FabricOf(m.series.path)], m.request));
      values_checked_ += checked;
      moved_on();
    }
    for (int i = 0; i < options_.repetitions; ++i) {
      for (Measured& m : measured_) {
        TESSERA_RETURN_IF_ERROR(RunOnce(m));
        moved_on();
      }
    }
    return Result();
  }

 private:
  // In each repetition: the ceiling first.
  static int TurnOf(Path path) {
    return path == Path::kRawTcp ? -1 : static_cast<int>(path);
  }

  // Which fabric a path belongs to, by one of its paths.
  static Path FabricOf(Path path) {
    return IsProduct(path) ? Path::kTcp : path;
  }

  void Add(const Series& series, bool is_latency) {
    measured_.push_back(
        {.series = series,
         .is_latency = is_latency,
         .request = {.series = series,
                     .blocks = is_latency ? LatencyBlocks(group_.setting)
                                          : group_.setting.blocks,
                     .in_flight = is_latency ? 1 : group_.in_flight,
                     .keep_latencies = is_latency}});
  }

  absl::Status StartFabrics() {
    std::map<Path, std::vector<Path>> paths;
    for (const Measured& m : measured_) {
      std::vector<Path>& of_fabric = paths[FabricOf(m.series.path)];
      if (std::find(of_fabric.begin(), of_fabric.end(), m.series.path) ==
          of_fabric.end()) {
        of_fabric.push_back(m.series.path);
      }
    }
    for (const auto& [key, of_fabric] : paths) {
      FabricOptions options{
          .setting = group_.setting,
          .paths = of_fabric,
          .bench_binary = environment_.bench_binary,
          .server_binary = environment_.server_binary,
          .folder =
              absl::StrCat(environment_.folder, "/", static_cast<int>(key)),
          .running = key == Path::kTcp ? environment_.running : nullptr,
          .running_raw = key == Path::kRawTcp ? environment_.running_raw
                                              : std::vector<std::string>()};
      // What is compared with has no other encoding.
      if (key != Path::kTcp) options.setting.encoding = v1::ENCODING_FLOAT32;
      std::filesystem::remove_all(options.folder);
      TESSERA_RETURN_IF_ERROR(MakeDirectories(options.folder));
      TESSERA_ASSIGN_OR_RETURN(fabrics_[key],
                               Fabric::Start(std::move(options)));
    }
    return absl::OkStatus();
  }

  absl::Status RunOnce(Measured& m) {
    TESSERA_ASSIGN_OR_RETURN(FabricRun run,
                             fabrics_[FabricOf(m.series.path)]->Run(m.request));
    values_checked_ += run.values_checked;
    const double gigabytes = static_cast<double>(run.bytes) / kBytesPerGb;
    m.gb_per_second.push_back(gigabytes / run.seconds);
    m.cpu_seconds_per_gb.push_back(run.cpu_seconds / gigabytes);
    m.latencies_us.insert(m.latencies_us.end(), run.latencies_us.begin(),
                          run.latencies_us.end());
    return absl::OkStatus();
  }

  const Measured* Find(const Series& series, bool is_latency) const {
    for (const Measured& m : measured_) {
      if (m.series == series && m.is_latency == is_latency) return &m;
    }
    return nullptr;
  }

  Throughput ThroughputOf(const Measured& m) const {
    Throughput result{.gb_per_second = Summarize(m.gb_per_second),
                      .cpu_seconds_per_gb = Summarize(m.cpu_seconds_per_gb),
                      .repetitions = m.gb_per_second};
    const Measured* raw = Find({m.series.operation, Path::kRawTcp}, false);
    if (raw != nullptr) {
      result.share_of_raw = MedianRatio(m.gb_per_second, raw->gb_per_second);
    }
    return result;
  }

  Latency LatencyOf(const Measured& m) const {
    Latency result{.p50_us = Percentile(m.latencies_us, 50),
                   .p99_us = Percentile(m.latencies_us, 99),
                   .samples = static_cast<int64_t>(m.latencies_us.size())};
    const Measured* raw = Find({Operation::kPushThenPull, Path::kRawTcp}, true);
    if (raw != nullptr && m.series.operation == Operation::kPushPull) {
      result.share_of_raw = result.p50_us / Percentile(raw->latencies_us, 50);
    }
    return result;
  }

  GroupResult Result() const {
    GroupResult result{.values_checked = values_checked_};
    std::vector<Series> all = group_.throughput;
    for (const Series& series : group_.latency) {
      if (Find(series, false) == nullptr) all.push_back(series);
    }
    for (const Series& series : all) {
      SeriesResult line{.setting = group_.setting,
                        .series = series,
                        .in_flight = group_.in_flight};
      const Measured* throughput = Find(series, false);
      if (throughput != nullptr) line.throughput = ThroughputOf(*throughput);
      const Measured* latency = Find(series, true);
      if (latency != nullptr) line.latency = LatencyOf(*latency);
      result.series.push_back(std::move(line));
    }
    return result;
  }

  const Group& group_;
  const BenchOptions& options_;
  const RunEnvironment& environment_;
  const std::function<void(double)>& on_progress_;
  std::vector<Measured> measured_;
  std::map<Path, std::unique_ptr<Fabric>> fabrics_;
  int64_t values_checked_ = 0;
};

}  // namespace

absl::StatusOr<GroupResult> RunGroup(
    const Group& group, const BenchOptions& options,
    const RunEnvironment& environment,
    const std::function<void(double)>& on_progress) {
  return GroupRunner(group, options, environment, on_progress).Run();
}

}  // namespace tessera::bench
