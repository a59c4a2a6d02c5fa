#include "deploy/report/curves.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"

namespace tessera {
namespace {

constexpr int kWidth = 860;
constexpr int kLeft = 70;
constexpr int kRight = 20;
constexpr int kTop = 60;
constexpr int kPlotHeight = 260;
constexpr int kGap = 70;
// More points than this show nothing more on so many pixels.
constexpr size_t kMaxPoints = 400;
// A curve that varies by less, relative to its values, is drawn as flat.
constexpr double kFlat = 1e-6;

constexpr char kStyle[] = R"(<style>
  svg { background: #ffffff; font-family: sans-serif; font-size: 13px; }
  text { fill: #333333; }
  .title { font-size: 18px; font-weight: bold; }
  .axis { stroke: #333333; }
  .grid { stroke: #dddddd; }
  .curve { fill: none; stroke-width: 2; stroke-linejoin: round; }
  .train { stroke: #7aa6da; }
  .test { stroke: #d95f02; fill: #d95f02; }
  .accuracy { stroke: #1b9e77; fill: #1b9e77; }
  .curve.test, .curve.accuracy { fill: none; }
  @media (prefers-color-scheme: dark) {
    svg { background: #16181d; }
    text { fill: #cccccc; }
    .axis { stroke: #cccccc; }
    .grid { stroke: #333841; }
  }
</style>
)";

using Points = std::vector<CurvePoint>;

// Means over equal runs of points, so that noise does not hide the course.
Points Thinned(const Points& points) {
  if (points.size() <= kMaxPoints) return points;
  Points thin;
  for (size_t i = 0; i < kMaxPoints; ++i) {
    const size_t begin = points.size() * i / kMaxPoints;
    const size_t end = points.size() * (i + 1) / kMaxPoints;
    CurvePoint mean;
    for (size_t j = begin; j < end; ++j) {
      mean.step += points[j].step / static_cast<double>(end - begin);
      mean.value += points[j].value / static_cast<double>(end - begin);
    }
    thin.push_back(mean);
  }
  return thin;
}

struct Range {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();

  void Include(double value) {
    if (!std::isfinite(value)) return;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  // Never empty, nor so narrow that ticks would fall together.
  Range Widened() const {
    if (!(low <= high)) return {0, 1};
    const double size = std::max(std::abs(low), std::abs(high));
    const double span = high - low;
    if (span <= kFlat * size) {
      const double margin = size > 0 ? size / 2 : 1;
      return {low - margin, high + margin};
    }
    return {low - span * 0.05, high + span * 0.05};
  }
};

// One diagram: its place on the page and its scales.
class Plot {
 public:
  Plot(int top, Range x, Range y) : top_(top), x_(x), y_(y) {}

  std::string Axes(absl::string_view label, bool percent) const {
    std::string svg;
    for (double tick : NiceTicks(y_.low, y_.high, 6)) {
      absl::StrAppendFormat(
          &svg,
          "<line class=\"grid\" x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\"/>"
          "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n",
          kLeft, Y(tick), kWidth - kRight, Y(tick), kLeft - 8, Y(tick) + 4,
          percent ? absl::StrFormat("%g%%", tick * 100)
                  : absl::StrFormat("%g", tick));
    }
    for (double tick : NiceTicks(x_.low, x_.high, 8)) {
      absl::StrAppendFormat(
          &svg, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%g</text>\n",
          X(tick), top_ + kPlotHeight + 18, tick);
    }
    absl::StrAppendFormat(
        &svg,
        "<line class=\"axis\" x1=\"%d\" y1=\"%d\" x2=\"%d\" y2=\"%d\"/>"
        "<line class=\"axis\" x1=\"%d\" y1=\"%d\" x2=\"%d\" y2=\"%d\"/>\n"
        "<text x=\"%d\" y=\"%d\">%s</text>"
        "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">step</text>\n",
        kLeft, top_, kLeft, top_ + kPlotHeight, kLeft, top_ + kPlotHeight,
        kWidth - kRight, top_ + kPlotHeight, kLeft, top_ - 10, label,
        kWidth - kRight, top_ + kPlotHeight + 36);
    return svg;
  }

  std::string Curve(const Points& points, absl::string_view style,
                    bool dots) const {
    std::string svg =
        absl::StrCat("<polyline class=\"curve ", style, "\" points=\"");
    for (const CurvePoint& p : points) {
      if (!std::isfinite(p.value)) continue;
      absl::StrAppendFormat(&svg, "%.1f,%.1f ", X(p.step), Y(p.value));
    }
    svg += "\"/>\n";
    if (!dots) return svg;
    for (const CurvePoint& p : points) {
      if (!std::isfinite(p.value)) continue;
      absl::StrAppendFormat(
          &svg, "<circle class=\"%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"3\"/>\n",
          style, X(p.step), Y(p.value));
    }
    return svg;
  }

  // `place` counts entries from the right.
  std::string Legend(int place, absl::string_view style,
                     absl::string_view text) const {
    const int x = kWidth - kRight - 130 * (place + 1);
    return absl::StrFormat(
        "<line class=\"curve %s\" x1=\"%d\" y1=\"%d\" x2=\"%d\" y2=\"%d\"/>"
        "<text x=\"%d\" y=\"%d\">%s</text>\n",
        style, x, top_ - 14, x + 24, top_ - 14, x + 30, top_ - 10, text);
  }

 private:
  double X(double value) const {
    return kLeft +
           (value - x_.low) / (x_.high - x_.low) * (kWidth - kLeft - kRight);
  }
  double Y(double value) const {
    return top_ + (y_.high - value) / (y_.high - y_.low) * kPlotHeight;
  }

  int top_;
  Range x_;
  Range y_;
};

std::string Escaped(std::string text) {
  // XML has no way to write most control characters.
  for (char& c : text) {
    if (absl::ascii_iscntrl(static_cast<unsigned char>(c))) c = ' ';
  }
  return absl::StrReplaceAll(
      text, {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {"\"", "&quot;"}});
}

std::string LossPlot(const Curves& curves, const Range& x) {
  const Points train = Thinned(curves.train_loss);
  Range y;
  for (const CurvePoint& p : train) y.Include(p.value);
  for (const CurvePoint& p : curves.test_loss) y.Include(p.value);
  const Plot plot(kTop, x, y.Widened());
  return plot.Axes("loss", false) + plot.Curve(train, "train", false) +
         plot.Curve(curves.test_loss, "test", true) +
         plot.Legend(1, "train", "training") + plot.Legend(0, "test", "test");
}

std::string AccuracyPlot(const Curves& curves, const Range& x) {
  Range y;
  for (const CurvePoint& p : curves.test_accuracy) y.Include(p.value);
  y = y.Widened();
  y = {std::max(y.low, 0.0), std::min(y.high, 1.0)};
  const Plot plot(kTop + kPlotHeight + kGap, x, y);
  return plot.Axes("accuracy", true) +
         plot.Curve(curves.test_accuracy, "accuracy", true) +
         plot.Legend(0, "accuracy", "test");
}

}  // namespace

std::vector<double> NiceTicks(double low, double high, int count) {
  const double rough = (high - low) / count;
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  double interval = power;
  for (double factor : {2.0, 5.0, 10.0}) {
    if (interval < rough) interval = factor * power;
  }
  std::vector<double> ticks;
  const double last = std::floor(high / interval + 1e-9);
  for (double i = std::ceil(low / interval - 1e-9); i <= last; ++i) {
    // Adding 0 turns -0 into 0.
    ticks.push_back(i * interval + 0.0);
  }
  return ticks;
}

std::string DrawCurves(const Curves& curves) {
  Range x;
  x.Include(0);
  for (const Points* points :
       {&curves.train_loss, &curves.test_loss, &curves.test_accuracy}) {
    for (const CurvePoint& p : *points) x.Include(p.step);
  }
  if (x.high <= x.low) x.high = x.low + 1;
  const bool with_accuracy = !curves.test_accuracy.empty();
  const int height =
      kTop + kPlotHeight + 50 + (with_accuracy ? kPlotHeight + kGap : 0);
  std::string svg = absl::StrFormat(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
      "viewBox=\"0 0 %d %d\">\n%s<text class=\"title\" x=\"%d\" y=\"26\">%s"
      "</text>\n",
      kWidth, height, kWidth, height, kStyle, kLeft, Escaped(curves.title));
  svg += LossPlot(curves, x);
  if (with_accuracy) svg += AccuracyPlot(curves, x);
  return svg + "</svg>\n";
}

}  // namespace tessera
