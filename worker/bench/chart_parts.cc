#include "worker/bench/chart_parts.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace tessera::bench {
namespace {

const char* Class(Path path) {
  switch (path) {
    case Path::kTcp:
      return "tcp";
    case Path::kShared:
      return "shm";
    case Path::kSharedInPlace:
      return "view";
    case Path::kRawTcp:
      return "raw";
    case Path::kGrpcDefaults:
      return "base";
  }
  return "";
}

const char* Caption(Path path) {
  switch (path) {
    case Path::kTcp:
      return "Tessera, TCP";
    case Path::kShared:
      return "Tessera, shared memory";
    case Path::kSharedInPlace:
      return "Tessera, read in place";
    case Path::kRawTcp:
      return "ceiling: raw TCP";
    case Path::kGrpcDefaults:
      return "protobuf over gRPC, defaults";
  }
  return "";
}

}  // namespace

const char kChartStyle[] = R"(<style>
  svg { background: #ffffff; font-family: sans-serif; font-size: 12px; }
  text { fill: #333333; }
  .title { font-size: 18px; font-weight: bold; }
  .panel { font-size: 14px; font-weight: bold; }
  .axis { stroke: #333333; }
  .grid { stroke: #e4e4e4; }
  .line { fill: none; stroke-width: 2.5; stroke-linejoin: round; }
  .band { stroke: none; opacity: 0.15; }
  .tcp { stroke: #1f77b4; fill: #1f77b4; }
  .shm { stroke: #2a9d4a; fill: #2a9d4a; }
  .view { stroke: #8e5cc0; fill: #8e5cc0; }
  .raw { stroke: #444444; fill: #444444; }
  .base { stroke: #d95f02; fill: #d95f02; }
  .line.raw { stroke-dasharray: 7 4; }
  .line { fill: none; }
  @media (prefers-color-scheme: dark) {
    svg { background: #16181d; }
    text { fill: #cccccc; }
    .axis { stroke: #cccccc; }
    .grid { stroke: #2c3038; }
    .raw { stroke: #cccccc; fill: #cccccc; }
    .line { fill: none; }
  }
</style>
)";

const std::vector<Path> kDrawnPaths = {Path::kRawTcp, Path::kTcp, Path::kShared,
                                       Path::kSharedInPlace,
                                       Path::kGrpcDefaults};

void Scales::Include(const SeriesResult& line) {
  const auto bytes = static_cast<double>(line.setting.message_bytes);
  x_low = std::min(x_low, bytes);
  x_high = std::max(x_high, bytes);
  y_low = std::min(y_low, line.throughput->gb_per_second.min);
  y_high = std::max(y_high, line.throughput->gb_per_second.max);
}

void Scales::Widen() {
  x_low /= 1.4;
  x_high *= 1.4;
  y_low = std::max(y_low / 1.3, 1e-6);
  y_high = std::max(y_high * 1.3, y_low * 2);
}

double Scales::X(double bytes) const {
  return std::log(bytes / x_low) / std::log(x_high / x_low) * kPanelWidth;
}

double Scales::Y(double gb) const {
  const double at = std::max(gb, y_low);
  return kPanelHeight -
         std::log(at / y_low) / std::log(y_high / y_low) * kPanelHeight;
}

std::string DrawGrid(const Scales& scales, const std::set<int64_t>& sizes) {
  std::string svg;
  for (double power = 1e-3; power <= 1e3; power *= 10) {
    for (double factor : {1.0, 2.0, 5.0}) {
      const double gb = power * factor;
      if (gb < scales.y_low || gb > scales.y_high) continue;
      absl::StrAppendFormat(
          &svg,
          "<line class=\"grid\" x1=\"0\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\"/>"
          "<text x=\"-8\" y=\"%.1f\" text-anchor=\"end\">%g</text>\n",
          scales.Y(gb), kPanelWidth, scales.Y(gb), scales.Y(gb) + 4, gb);
    }
  }
  double last = -1e9;
  for (int64_t bytes : sizes) {
    const double x = scales.X(static_cast<double>(bytes));
    absl::StrAppendFormat(
        &svg,
        "<line class=\"grid\" x1=\"%.1f\" y1=\"0\" x2=\"%.1f\" y2=\"%d\"/>", x,
        x, kPanelHeight);
    // Labels that would overlap are left out.
    if (x - last < 50) continue;
    last = x;
    absl::StrAppendFormat(
        &svg, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>\n", x,
        kPanelHeight + 18, FormatBytes(bytes));
  }
  absl::StrAppendFormat(
      &svg,
      "<line class=\"axis\" x1=\"0\" y1=\"0\" x2=\"0\" y2=\"%d\"/>"
      "<line class=\"axis\" x1=\"0\" y1=\"%d\" x2=\"%d\" y2=\"%d\"/>"
      "<text x=\"-8\" y=\"-12\" text-anchor=\"end\">GB/s</text>\n",
      kPanelHeight, kPanelHeight, kPanelWidth, kPanelHeight);
  return svg;
}

std::string DrawLine(const Scales& scales, Path path,
                     const std::vector<const SeriesResult*>& points) {
  std::string upper;
  std::string lower;
  std::string line;
  std::string dots;
  for (const SeriesResult* point : points) {
    const double x =
        scales.X(static_cast<double>(point->setting.message_bytes));
    const Summary& gb = point->throughput->gb_per_second;
    absl::StrAppendFormat(&line, "%.1f,%.1f ", x, scales.Y(gb.median));
    absl::StrAppendFormat(&upper, "%.1f,%.1f ", x, scales.Y(gb.max));
    lower = absl::StrFormat("%.1f,%.1f ", x, scales.Y(gb.min)) + lower;
    absl::StrAppendFormat(
        &dots, "<circle class=\"%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"3\"/>",
        Class(path), x, scales.Y(gb.median));
  }
  return absl::StrCat("<polygon class=\"band ", Class(path), "\" points=\"",
                      upper, lower, "\"/><polyline class=\"line ", Class(path),
                      "\" points=\"", line, "\"/>", dots, "\n");
}

std::string DrawLegend(const std::set<Path>& paths, int left) {
  std::string svg;
  int x = left;
  for (Path path : kDrawnPaths) {
    if (!paths.contains(path)) continue;
    absl::StrAppendFormat(
        &svg,
        "<line class=\"line %s\" x1=\"%d\" y1=\"48\" x2=\"%d\" y2=\"48\"/>"
        "<text x=\"%d\" y=\"52\">%s</text>\n",
        Class(path), x, x + 28, x + 34, Caption(path));
    x += 48 + static_cast<int>(7 * absl::string_view(Caption(path)).size());
  }
  return svg;
}

}  // namespace tessera::bench
