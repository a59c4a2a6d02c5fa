#include "worker/data/sampler.h"

#include <numeric>
#include <utility>

#include "common/base/check.h"
#include "common/base/philox.h"

namespace tessera {

Sampler::Sampler(const Job& job)
    : seed_(job.proto().seed()),
      train_examples_(job.proto().data_set().train_examples()),
      steps_per_epoch_(job.steps_per_epoch()),
      batch_size_(job.batch_size()),
      microbatch_size_(job.microbatch_size()) {}

absl::Span<const int64_t> Sampler::Microbatch(int64_t step, int microbatch) {
  TESSERA_CHECK(step >= 0);
  TESSERA_CHECK(microbatch >= 0 && microbatch < batch_size_ / microbatch_size_);
  const int64_t epoch = step / steps_per_epoch_;
  if (epoch != epoch_) DrawEpoch(epoch);
  const int64_t begin = step % steps_per_epoch_ * batch_size_ +
                        int64_t{microbatch} * microbatch_size_;
  return absl::MakeConstSpan(permutation_)
      .subspan(static_cast<size_t>(begin),
               static_cast<size_t>(microbatch_size_));
}

void Sampler::DrawEpoch(int64_t epoch) {
  permutation_.resize(static_cast<size_t>(train_examples_));
  std::iota(permutation_.begin(), permutation_.end(), 0);
  const auto number = static_cast<uint64_t>(epoch);
  const Philox random(seed_, RandomStream::kSampling,
                      static_cast<uint32_t>(number));
  // The substream holds an epoch's low 32 bits; the high ones, if a job ever
  // gets there, go above the positions, of which there are at most 2^30.
  const uint64_t high = number >> 32 << 32;
  for (size_t i = permutation_.size() - 1; i > 0; --i) {
    std::swap(permutation_[i], permutation_[random.Below(high | i, i + 1)]);
  }
  epoch_ = epoch;
}

}  // namespace tessera
