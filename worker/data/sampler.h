// Which samples a microbatch holds: a pure function of (seed, step,
// microbatch).

#ifndef TESSERA_WORKER_DATA_SAMPLER_H_
#define TESSERA_WORKER_DATA_SAMPLER_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "common/job/job.h"

namespace tessera {

// Epoch e visits all samples in the order of a permutation drawn from (seed, e)
// by Fisher and Yates's shuffle; step t of the epoch takes the t-th run of
// batch_size, and microbatch m of it the m-th part. What is left of the epoch
// at the end is not used. Not thread-safe: it keeps the last epoch's
// permutation.
class Sampler {
 public:
  explicit Sampler(const Job& job);

  // Indices of the training samples of microbatch `microbatch` of step `step`,
  // job.microbatch_size() of them; valid until the next call.
  absl::Span<const int64_t> Microbatch(int64_t step, int microbatch);

 private:
  void DrawEpoch(int64_t epoch);

  uint64_t seed_;
  int64_t train_examples_;
  int64_t steps_per_epoch_;
  int batch_size_;
  int microbatch_size_;
  int64_t epoch_ = -1;
  std::vector<int64_t> permutation_;
};

}  // namespace tessera

#endif  // TESSERA_WORKER_DATA_SAMPLER_H_
