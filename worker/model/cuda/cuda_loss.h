// A model's loss on a GPU.

#ifndef TESSERA_WORKER_MODEL_CUDA_CUDA_LOSS_H_
#define TESSERA_WORKER_MODEL_CUDA_CUDA_LOSS_H_

#include <cstdint>

#include "absl/types/span.h"
#include "common/job/model_plan.h"
#include "worker/model/cuda/activation.h"
#include "worker/model/cuda/cuda_context.h"
#include "worker/model/loss.h"

namespace tessera {

// Not thread-safe.
class CudaLoss {
 public:
  // `outputs` must be flat; their gradient, where they have one, is the loss's
  // to write.
  CudaLoss(CudaContext& context, v1::Loss kind,
           const DeviceActivation& outputs);

  // Enqueues it. What `targets` refers to may go at once; what was enqueued
  // before must be done.
  void Compute(const LossTargets& targets);

  // Of the last Compute, once its work is done.
  LossResult result() const;

 private:
  bool is_classification() const {
    return kind_ == v1::LOSS_SOFTMAX_CROSS_ENTROPY;
  }
  void SendLabels(absl::Span<const int32_t> labels);
  void SendTargets(absl::Span<const float> targets);

  CudaContext& context_;
  const v1::Loss kind_;
  const DeviceActivation outputs_;
  // Of one of these two kinds, as the loss asks.
  const absl::Span<int32_t> host_labels_;
  int32_t* const labels_;
  const absl::Span<float> host_targets_;
  float* const targets_;
  // Pinned, for kernels to write: a few bytes are not worth a copy.
  const absl::Span<double> losses_;
  const absl::Span<int32_t> correct_;
  int count_ = 0;
};

}  // namespace tessera

#endif  // TESSERA_WORKER_MODEL_CUDA_CUDA_LOSS_H_
