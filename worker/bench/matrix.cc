#include "worker/bench/matrix.h"

#include <sys/utsname.h>

#include <string>
#include <thread>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"
#include "worker/bench/memory_ceilings.h"
#include "worker/bench/progress_line.h"

namespace tessera::bench {
namespace {

// "2 x AMD EPYC 9B45, Linux 6.1.0".
std::string DescribeMachine() {
  std::string processor = "processors";
  const auto text = ReadFile("/proc/cpuinfo");
  for (absl::string_view line : absl::StrSplit(text.value_or(""), '\n')) {
    if (!absl::ConsumePrefix(&line, "model name")) continue;
    processor = std::string(line.substr(line.find(':') + 1));
    absl::StripAsciiWhitespace(&processor);
    break;
  }
  utsname system{};
  uname(&system);
  return absl::StrCat(std::thread::hardware_concurrency(), " x ", processor,
                      ", ", system.sysname, " ", system.release);
}

std::string Describe(const Group& group) {
  return absl::StrCat(FormatBytes(group.setting.message_bytes), " ",
                      Name(group.setting.shape), " ",
                      Name(group.setting.encoding));
}

}  // namespace

absl::StatusOr<BenchResult> RunMatrix(const MatrixPlan& plan,
                                      const BenchOptions& options,
                                      const RunEnvironment& environment) {
  BenchResult result{.left_out = plan.left_out, .machine = DescribeMachine()};
  const absl::Time begin = absl::Now();
  const double total = EstimateSeconds(plan, options);
  double done = 0;
  ProgressLine progress;
  progress.Show(0, "memory of one core");
  result.memory = MeasureMemory();
  for (const Group& group : plan.groups) {
    const double seconds = EstimateSeconds(group, options);
    const std::string what = Describe(group);
    progress.Show(done / total, what);
    auto measured = RunGroup(group, options, environment, [&](double share) {
      progress.Show((done + share * seconds) / total, what);
    });
    if (!measured.ok()) return measured.status();
    for (SeriesResult& line : measured->series) {
      result.series.push_back(std::move(line));
    }
    result.values_checked += measured->values_checked;
    done += seconds;
  }
  result.seconds = absl::ToDoubleSeconds(absl::Now() - begin);
  return result;
}

}  // namespace tessera::bench
