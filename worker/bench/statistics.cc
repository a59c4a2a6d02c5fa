#include "worker/bench/statistics.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "common/base/check.h"

namespace tessera::bench {

Summary Summarize(std::vector<double> values) {
  TESSERA_CHECK(!values.empty());
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  const double median = values.size() % 2 == 1
                            ? values[middle]
                            : (values[middle - 1] + values[middle]) / 2;
  return {.median = median, .min = values.front(), .max = values.back()};
}

double Percentile(std::vector<double> values, double percent) {
  TESSERA_CHECK(!values.empty() && percent > 0 && percent <= 100);
  const auto count = static_cast<double>(values.size());
  // The margin keeps 29% of 100 from being number 30.
  const auto rank =
      static_cast<size_t>(std::ceil(percent / 100 * count - 1e-9));
  const size_t at = std::clamp<size_t>(rank, 1, values.size()) - 1;
  std::nth_element(values.begin(),
                   values.begin() + static_cast<std::ptrdiff_t>(at),
                   values.end());
  return values[at];
}

double MedianRatio(const std::vector<double>& part,
                   const std::vector<double>& whole) {
  TESSERA_CHECK(part.size() == whole.size());
  std::vector<double> ratios;
  for (size_t i = 0; i < part.size(); ++i) {
    ratios.push_back(part[i] / whole[i]);
  }
  return Summarize(std::move(ratios)).median;
}

}  // namespace tessera::bench
