#include "worker/bench/chart.h"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "worker/bench/chart_parts.h"

namespace tessera::bench {
namespace {

constexpr int kGapX = 64;
constexpr int kGapY = 76;
constexpr int kLeft = 64;
constexpr int kTop = 92;
constexpr int kRight = 24;
constexpr int kBottom = 52;

// What a diagram shows.
struct Panel {
  Operation operation;
  Shape shape;
  v1::Encoding encoding;
};

// Everything that is drawn, by where it goes.
class Chart {
 public:
  explicit Chart(const BenchResult& result) {
    for (const SeriesResult& line : result.series) {
      if (!line.throughput) continue;
      lines_.push_back(&line);
      scales_.Include(line);
      sizes_.insert(line.setting.message_bytes);
      paths_.insert(line.series.path);
      rows_.insert(line.series.operation);
      columns_.insert({line.setting.shape, line.setting.encoding});
    }
    scales_.Widen();
  }

  std::string Draw() const {
    const int columns = std::max<int>(static_cast<int>(columns_.size()), 2);
    const int rows = std::max<int>(static_cast<int>(rows_.size()), 1);
    const int width =
        kLeft + columns * kPanelWidth + (columns - 1) * kGapX + kRight;
    const int height =
        kTop + rows * kPanelHeight + (rows - 1) * kGapY + kBottom;
    std::string svg = absl::StrFormat(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
        "viewBox=\"0 0 %d %d\">\n%s<text class=\"title\" x=\"%d\" y=\"26\">"
        "Payload pushed plus pulled, over message size</text>\n",
        width, height, width, height, kChartStyle, kLeft);
    svg += DrawLegend(paths_, kLeft);
    int row = 0;
    // The fused operation first.
    for (auto op = rows_.rbegin(); op != rows_.rend(); ++op, ++row) {
      int column = 0;
      for (const auto& [shape, encoding] : columns_) {
        svg += DrawPanel({*op, shape, encoding}, row, column++);
      }
    }
    return svg + "</svg>\n";
  }

 private:
  std::string DrawPanel(const Panel& panel, int row, int column) const {
    std::string svg = absl::StrFormat(
        "<g transform=\"translate(%d,%d)\">\n"
        "<text class=\"panel\" x=\"8\" y=\"-12\">%s, %s%s</text>\n",
        kLeft + column * (kPanelWidth + kGapX),
        kTop + row * (kPanelHeight + kGapY), Name(panel.operation),
        Title(panel.shape),
        panel.encoding == v1::ENCODING_BFLOAT16 ? ", bfloat16" : "");
    svg += DrawGrid(scales_, sizes_);
    for (Path path : kDrawnPaths) {
      std::vector<const SeriesResult*> points;
      for (const SeriesResult* line : lines_) {
        if (line->series == Series{panel.operation, path} &&
            line->setting.shape == panel.shape &&
            line->setting.encoding == panel.encoding) {
          points.push_back(line);
        }
      }
      std::sort(points.begin(), points.end(), [](auto* a, auto* b) {
        return a->setting.message_bytes < b->setting.message_bytes;
      });
      if (!points.empty()) svg += DrawLine(scales_, path, points);
    }
    return svg + "</g>\n";
  }

  static std::string Title(const Shape& shape) {
    return absl::StrCat(
        shape.workers, shape.workers == 1 ? " worker" : " workers", " x ",
        shape.servers, shape.servers == 1 ? " server" : " servers");
  }

  std::vector<const SeriesResult*> lines_;
  Scales scales_;
  std::set<int64_t> sizes_;
  std::set<Path> paths_;
  std::set<Operation> rows_;
  std::set<std::pair<Shape, v1::Encoding>> columns_;
};

}  // namespace

std::string DrawChart(const BenchResult& result) {
  return Chart(result).Draw();
}

}  // namespace tessera::bench
