// Results as a picture that any browser opens.

#ifndef TESSERA_WORKER_BENCH_CHART_H_
#define TESSERA_WORKER_BENCH_CHART_H_

#include <string>

#include "worker/bench/result.h"

namespace tessera::bench {

// An SVG document: GB/s over message size, both logarithmic. A diagram for each
// operation (below each other) and each shape and encoding (side by side), a
// line for each transport with its range over the repetitions; the raw TCP
// ceiling is dashed. Light or dark as the reader's system is. Pure.
std::string DrawChart(const BenchResult& result);

}  // namespace tessera::bench

#endif  // TESSERA_WORKER_BENCH_CHART_H_
