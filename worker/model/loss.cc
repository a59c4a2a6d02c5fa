#include "worker/model/loss.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "common/base/check.h"

namespace tessera {
namespace {

// Of one sample: log(sum_i exp(x_i)), by way of the largest, so that nothing
// overflows.
double LogSumExp(absl::Span<const float> x, double largest) {
  double sum = 0;
  for (float value : x) sum += std::exp(value - largest);
  return largest + std::log(sum);
}

}  // namespace

LossResult SoftmaxCrossEntropy(absl::Span<const float> outputs,
                               absl::Span<const int32_t> labels,
                               absl::Span<float> gradient) {
  LossResult result;
  if (labels.empty()) return result;
  const size_t classes = outputs.size() / labels.size();
  TESSERA_CHECK(outputs.size() == classes * labels.size());
  TESSERA_CHECK(gradient.empty() || gradient.size() == outputs.size());
  const auto samples = static_cast<double>(labels.size());
  for (size_t sample = 0; sample < labels.size(); ++sample) {
    const auto x = outputs.subspan(sample * classes, classes);
    const auto label = static_cast<size_t>(labels[sample]);
    TESSERA_CHECK(label < classes);
    const auto largest = std::max_element(x.begin(), x.end());
    const double normalizer = LogSumExp(x, *largest);
    result.sum += normalizer - x[label];
    result.correct += largest - x.begin() == labels[sample];
    if (gradient.empty()) continue;
    for (size_t i = 0; i < classes; ++i) {
      const double p = std::exp(x[i] - normalizer);
      gradient[sample * classes + i] =
          static_cast<float>((p - (i == label ? 1.0 : 0.0)) / samples);
    }
  }
  return result;
}

LossResult MeanSquaredError(absl::Span<const float> outputs,
                            absl::Span<const float> targets, int width,
                            absl::Span<float> gradient) {
  TESSERA_CHECK(outputs.size() == targets.size());
  TESSERA_CHECK(gradient.empty() || gradient.size() == outputs.size());
  double squares = 0;
  for (size_t i = 0; i < outputs.size(); ++i) {
    const double difference = double{outputs[i]} - double{targets[i]};
    squares += difference * difference;
    if (gradient.empty()) continue;
    gradient[i] = static_cast<float>(2 * difference /
                                     static_cast<double>(outputs.size()));
  }
  return {.sum = squares / width, .correct = 0};
}

LossResult ComputeLoss(v1::Loss loss, absl::Span<const float> outputs,
                       const LossTargets& targets, int width,
                       absl::Span<float> gradient) {
  if (loss == v1::LOSS_SOFTMAX_CROSS_ENTROPY) {
    return SoftmaxCrossEntropy(outputs, targets.labels, gradient);
  }
  TESSERA_CHECK(loss == v1::LOSS_MEAN_SQUARED_ERROR);
  return MeanSquaredError(outputs, targets.targets, width, gradient);
}

}  // namespace tessera
