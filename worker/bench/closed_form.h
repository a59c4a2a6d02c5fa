// The values that a benchmark run must end with, bit for bit.
//
// Every worker pushes the same gradient at every step: element i of worker w's
// is the small integer h(w, i) in {-2, -1, 1, 2}, which repeats with a prime
// period so that no block, line or offset looks like another. Starting from
// zero, plain SGD with a power of two as the learning rate r and as the number
// of microbatches M gives after k steps
//
//   x(i) = -(k * r / M) * S(i),   S(i) = sum over w of h(w, i)
//
// with every intermediate value an integer multiple of r / M: as long as these
// integers stay below 2^24, float32 holds all of them exactly, in whatever
// order they were added.

#ifndef TESSERA_WORKER_BENCH_CLOSED_FORM_H_
#define TESSERA_WORKER_BENCH_CLOSED_FORM_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "common/plan/reduction_tree.h"
#include "tessera/v1/encoding.pb.h"

namespace tessera::bench {

// M for so many workers: the smallest power of two that is not below.
int MicrobatchesFor(int workers);

// The microbatches that `worker` of `workers` contributes: a node of the tree
// over MicrobatchesFor(workers). All workers' ranges together are all of them.
MicrobatchRange RangeOf(int worker, int workers);

// Immutable but for Check, which keeps a table: not thread-safe.
class ClosedForm {
 public:
  // Values repeat after so many elements.
  static constexpr int64_t kPeriod = 4093;

  // `unit` is r / M. Values are compared as they arrive, rounded to
  // `pull_encoding`.
  ClosedForm(int workers, float unit, v1::Encoding pull_encoding);

  // Writes elements [first, first + to.size()) of the worker's gradient.
  void FillGradient(int worker, int64_t first, absl::Span<float> to) const;

  // Element i after `steps` steps from zero.
  float Expected(int64_t i, int64_t steps) const;

  // Steps from zero for which the formula holds.
  int64_t max_steps() const;

  // Whether `values` are elements [first, ...) after `steps` steps. Code:
  // DATA_LOSS with the first element that differs, its value and the right one.
  absl::Status Check(int64_t first, absl::Span<const float> values,
                     int64_t steps);

 private:
  static float Gradient(int worker, int64_t i);
  // The table of Expected for these steps, one period long.
  const std::vector<float>& Row(int64_t steps);

  const float unit_;
  const v1::Encoding pull_encoding_;
  std::vector<float> sums_;  // S, one period.
  float largest_sum_ = 0;

  // Blocks in flight are at most one step apart, so few rows are used at once.
  static constexpr int64_t kRows = 4;
  struct CachedRow {
    int64_t steps = -1;
    std::vector<float> values;
  };
  CachedRow rows_[kRows];
};

}  // namespace tessera::bench

#endif  // TESSERA_WORKER_BENCH_CLOSED_FORM_H_
