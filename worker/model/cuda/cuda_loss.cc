#include "worker/model/cuda/cuda_loss.h"

#include <algorithm>

#include "common/base/check.h"
#include "worker/model/cuda/loss_kernels.h"

namespace tessera {
namespace {

int64_t If(bool wanted, int64_t count) { return wanted ? count : 0; }

}  // namespace

CudaLoss::CudaLoss(CudaContext& context, v1::Loss kind,
                   const DeviceActivation& outputs)
    : context_(context),
      kind_(kind),
      outputs_(outputs),
      host_labels_(context.AllocateHost<int32_t>(
          If(is_classification(), outputs.samples))),
      labels_(
          context.Allocate<int32_t>(If(is_classification(), outputs.samples))),
      host_targets_(context.AllocateHost<float>(
          If(!is_classification(), outputs.size()))),
      targets_(context.Allocate(If(!is_classification(), outputs.size()))),
      losses_(context.AllocateHost<double>(outputs.samples)),
      correct_(context.AllocateHost<int32_t>(outputs.samples)) {
  TESSERA_CHECK(outputs.plane() == 1);
}

void CudaLoss::SendLabels(absl::Span<const int32_t> labels) {
  TESSERA_CHECK(labels.size() <= host_labels_.size());
  for (int32_t label : labels) {
    TESSERA_CHECK(label >= 0 && label < outputs_.shape.channels);
  }
  std::copy(labels.begin(), labels.end(), host_labels_.begin());
  context_.Copy(context_.compute(), labels_, host_labels_.data(),
                static_cast<int64_t>(labels.size() * sizeof(int32_t)));
  count_ = static_cast<int>(labels.size());
}

void CudaLoss::SendTargets(absl::Span<const float> targets) {
  TESSERA_CHECK(targets.size() <= host_targets_.size());
  std::copy(targets.begin(), targets.end(), host_targets_.begin());
  context_.Copy(context_.compute(), targets_, host_targets_.data(),
                static_cast<int64_t>(targets.size() * sizeof(float)));
  count_ = static_cast<int>(targets.size()) / outputs_.shape.channels;
}

void CudaLoss::Compute(const LossTargets& targets) {
  if (is_classification()) {
    SendLabels(targets.labels);
  } else {
    SendTargets(targets.targets);
  }
  TESSERA_CHECK(!outputs_.has_gradient() || count_ == outputs_.samples);
  const LossArrays arrays{.outputs = outputs_.value,
                          .labels = labels_,
                          .targets = targets_,
                          .gradient = outputs_.gradient,
                          .losses = losses_.data(),
                          .correct = correct_.data(),
                          .width = outputs_.shape.channels,
                          .samples = outputs_.samples};
  context_.Run("the loss", [&](cudaStream_t stream) {
    return is_classification()
               ? LaunchSoftmaxCrossEntropy(arrays, count_, stream)
               : LaunchMeanSquaredError(arrays, count_, stream);
  });
}

LossResult CudaLoss::result() const {
  LossResult result;
  for (int i = 0; i < count_; ++i) {
    result.sum += losses_[static_cast<size_t>(i)];
    result.correct += correct_[static_cast<size_t>(i)];
  }
  return result;
}

}  // namespace tessera
