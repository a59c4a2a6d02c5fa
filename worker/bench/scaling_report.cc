// How a ScalingResult is shown.

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "worker/bench/scaling.h"
#include "worker/bench/table.h"

namespace tessera::bench {
namespace {

using Row = std::vector<std::string>;

std::string Range(const Summary& summary) {
  return absl::StrCat(Figure(summary.min), "-", Figure(summary.max));
}

Row RowOf(const ScalingResult::Line& line) {
  const ServerMemory& memory = line.memory;
  const int64_t bound =
      ShardBoundBytes(memory.elements, memory.optimizer_bytes);
  return {
      std::string(Name(line.point.grown)),
      FormatBytes(line.point.setting.total_bytes()),
      Name(line.point.setting.shape),
      Figure(line.step_ms.median),
      Range(line.step_ms),
      Figure(line.gb_per_second.median),
      FormatBytes(memory.elements * static_cast<int64_t>(sizeof(float))),
      absl::StrFormat("%.2f", static_cast<double>(memory.accounted_bytes()) /
                                  static_cast<double>(memory.elements)),
      FormatBytes(memory.waiting_sum_bytes),
      FormatBytes(memory.peak_resident_bytes),
      FormatBytes(std::max<int64_t>(
          memory.peak_resident_bytes - bound - memory.waiting_sum_bytes, 0)),
      FormatBytes(line.constant_bytes),
      line.within_bound() ? "kept" : "BROKEN"};
}

}  // namespace

std::string FormatScaling(const ScalingResult& result) {
  std::vector<Row> rows = {{"grown", "parameters", "WxS", "ms/step", "min-max",
                            "GB/s", "shard", "B/parameter", "waiting",
                            "peak RSS", "rest", "allowed", "bound"}};
  for (size_t i = 0; i < result.lines.size(); ++i) {
    if (i > 0 && result.lines[i].point.grown != result.lines[i - 1].point.grown)
      rows.emplace_back();
    rows.push_back(RowOf(result.lines[i]));
  }
  std::string text =
      AlignColumns(rows, {true, false, true, false, false, false, false, false,
                          false, false, false, false, true});
  absl::StrAppend(&text, "\nvalues checked: ", result.values_checked,
                  ", all right\n");
  for (const std::string& line : result.left_out) {
    absl::StrAppend(&text, "left out: ", line, "\n");
  }
  return text;
}

nlohmann::json ToJson(const ScalingResult& result) {
  nlohmann::json lines = nlohmann::json::array();
  for (const ScalingResult::Line& line : result.lines) {
    const ServerMemory& memory = line.memory;
    lines.push_back({{"grown", std::string(Name(line.point.grown))},
                     {"parameter_bytes", line.point.setting.total_bytes()},
                     {"block_bytes", line.point.setting.message_bytes},
                     {"workers", line.point.setting.shape.workers},
                     {"servers", line.point.setting.shape.servers},
                     {"step_ms",
                      {{"median", line.step_ms.median},
                       {"min", line.step_ms.min},
                       {"max", line.step_ms.max}}},
                     {"gb_per_second", line.gb_per_second.median},
                     {"server",
                      {{"elements", memory.elements},
                       {"parameter_bytes", memory.parameter_bytes},
                       {"older_version_bytes", memory.older_version_bytes},
                       {"sum_bytes", memory.sum_bytes},
                       {"optimizer_bytes", memory.optimizer_bytes},
                       {"waiting_sum_bytes", memory.waiting_sum_bytes},
                       {"peak_resident_bytes", memory.peak_resident_bytes},
                       {"constant_bytes", line.constant_bytes}}},
                     {"within_bound", line.within_bound()}});
  }
  return {{"values_checked", result.values_checked},
          {"left_out", result.left_out},
          {"points", std::move(lines)}};
}

}  // namespace tessera::bench
