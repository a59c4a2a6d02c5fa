// What a chart's diagrams are made of. Pure functions.

#ifndef TESSERA_WORKER_BENCH_CHART_PARTS_H_
#define TESSERA_WORKER_BENCH_CHART_PARTS_H_

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "worker/bench/result.h"

namespace tessera::bench {

// Of one diagram, in pixels.
inline constexpr int kPanelWidth = 400;
inline constexpr int kPanelHeight = 250;

// The <style> element for all that follows.
extern const char kChartStyle[];

// Logarithmic scales that all diagrams share, of a diagram's own pixels.
struct Scales {
  double x_low = 1e300, x_high = 0;  // Bytes.
  double y_low = 1e300, y_high = 0;  // GB/s.

  // `line` has a throughput.
  void Include(const SeriesResult& line);
  // After the last line: makes some room, so that nothing lies on the frame or
  // divides by 0.
  void Widen();
  double X(double bytes) const;
  double Y(double gb) const;
};

// Axes, grid and labels; a line for each message size.
std::string DrawGrid(const Scales& scales, const std::set<int64_t>& sizes);

// One transport's line, its dots, and the band from min to max. `points` have
// throughputs, and are in the order of their sizes.
std::string DrawLine(const Scales& scales, Path path,
                     const std::vector<const SeriesResult*>& points);

// All transports in the order in which they are drawn.
extern const std::vector<Path> kDrawnPaths;

// What the lines mean, from `left` on.
std::string DrawLegend(const std::set<Path>& paths, int left);

}  // namespace tessera::bench

#endif  // TESSERA_WORKER_BENCH_CHART_PARTS_H_
