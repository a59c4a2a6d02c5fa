#include "worker/model/cpu/dropout.h"

#include <algorithm>
#include <array>
#include <cstddef>

#include "absl/types/span.h"

namespace tessera {
namespace {

// Random words of one call to Philox, each good for one place.
constexpr size_t kWords = 4;

void Multiply(absl::Span<const float> factors, absl::Span<float> values) {
  for (size_t i = 0; i < values.size(); ++i) values[i] *= factors[i];
}

}  // namespace

Dropout::Dropout(const Activation& activation, const Options& options)
    : activation_(activation),
      random_(options.seed, RandomStream::kDropout, options.layer_index),
      threshold_(static_cast<uint32_t>(double{options.rate} * 0x1p32)),
      scale_(1 / (1 - options.rate)),
      sample_size_(ValuesOf(activation.value).size() /
                   static_cast<size_t>(options.samples)),
      mask_(ValuesOf(activation.value).size()) {}

void Dropout::DrawMask(uint64_t first_sample) {
  const uint64_t draws = (sample_size_ + kWords - 1) / kWords;
  uint64_t index = first_sample * draws;
  for (size_t sample = 0; sample < mask_.size(); sample += sample_size_) {
    for (size_t place = 0; place < sample_size_; place += kWords) {
      const std::array<uint32_t, kWords> words = random_.Words(index++);
      const size_t count = std::min(kWords, sample_size_ - place);
      for (size_t i = 0; i < count; ++i) {
        mask_[sample + place + i] = words[i] < threshold_ ? 0 : scale_;
      }
    }
  }
}

void Dropout::Forward(int64_t first_sample) {
  DrawMask(static_cast<uint64_t>(first_sample));
  Multiply(mask_, ValuesOf(activation_.value));
}

void Dropout::Backward(float*) {
  Multiply(mask_, ValuesOf(activation_.gradient));
}

}  // namespace tessera
