// Figures of repeated measurements. Pure functions.

#ifndef TESSERA_WORKER_BENCH_STATISTICS_H_
#define TESSERA_WORKER_BENCH_STATISTICS_H_

#include <vector>

namespace tessera::bench {

struct Summary {
  double median = 0;
  double min = 0;
  double max = 0;
};

// Of at least one value. The median of an even number of values is the mean of
// the two in the middle.
Summary Summarize(std::vector<double> values);

// The smallest value that at least `percent` (in (0, 100]) of the values do not
// exceed (nearest rank). Of at least one value.
double Percentile(std::vector<double> values, double percent);

// The median of part[i] / whole[i]: of measurements taken in turns, so that
// both of a pair saw the same machine. Both of the same size, at least one;
// `whole` above 0.
double MedianRatio(const std::vector<double>& part,
                   const std::vector<double>& whole);

}  // namespace tessera::bench

#endif  // TESSERA_WORKER_BENCH_STATISTICS_H_
