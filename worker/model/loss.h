// Losses over a batch's outputs.

#ifndef TESSERA_WORKER_MODEL_LOSS_H_
#define TESSERA_WORKER_MODEL_LOSS_H_

#include <cstdint>

#include "absl/types/span.h"
#include "tessera/v1/job.pb.h"

namespace tessera {

struct LossResult {
  double sum = 0;       // Of the samples' losses.
  int64_t correct = 0;  // Samples whose largest output is the label's.
};

// What a batch's outputs should be: one of the two, as the loss asks.
struct LossTargets {
  absl::Span<const int32_t> labels;
  absl::Span<const float> targets;
};

// -log softmax(x)[label] for each of the labels.size() samples;
// x, `outputs`, is [samples, classes], labels are in [0, classes). Unless it is
// empty, `gradient`, as `outputs`, becomes that of the mean over the samples:
// (softmax(x) - onehot(label)) / samples. Of equal outputs the first counts as
// the largest. NaN in an output gives a loss of NaN.
LossResult SoftmaxCrossEntropy(absl::Span<const float> outputs,
                               absl::Span<const int32_t> labels,
                               absl::Span<float> gradient);

// The mean over a sample's `width` outputs of (x - y)^2, with x, `outputs`, and
// y, `targets`, both [samples, width]. Unless it is empty, `gradient`, as
// `outputs`, becomes that of the mean over the samples:
// 2 (x - y) / (width samples). None is `correct`.
LossResult MeanSquaredError(absl::Span<const float> outputs,
                            absl::Span<const float> targets, int width,
                            absl::Span<float> gradient);

// The one of these that `loss` names; `width` outputs a sample.
LossResult ComputeLoss(v1::Loss loss, absl::Span<const float> outputs,
                       const LossTargets& targets, int width,
                       absl::Span<float> gradient);

}  // namespace tessera

#endif  // TESSERA_WORKER_MODEL_LOSS_H_
