// Layers without parameters on a GPU.

#ifndef TESSERA_WORKER_MODEL_CUDA_PLAIN_LAYERS_H_
#define TESSERA_WORKER_MODEL_CUDA_PLAIN_LAYERS_H_

#include <cstdint>

#include "absl/types/span.h"
#include "common/job/model_plan.h"
#include "worker/model/cuda/activation.h"
#include "worker/model/cuda/cuda_context.h"
#include "worker/model/cuda/pointwise_kernels.h"
#include "worker/model/cuda/windows.h"
#include "worker/model/layer.h"

namespace tessera {

// y = max(x, 0), in place; see worker/model/cpu/relu.h.
class CudaRelu : public Layer {
 public:
  // `applied` says that the layer before has rectified the values already.
  CudaRelu(CudaContext& context, const DeviceActivation& activation,
           bool applied)
      : context_(context), activation_(activation), applied_(applied) {}

  const DeviceActivation& output() const { return activation_; }

  void Forward(int64_t first_sample) override;
  void Backward(float* gradient) override;

 private:
  CudaContext& context_;
  const DeviceActivation activation_;
  const bool applied_;
};

class CudaMaxPool : public Layer {
 public:
  CudaMaxPool(CudaContext& context, const LayerPlan& plan,
              const DeviceActivation& input, bool training);

  const DeviceActivation& output() const { return output_; }

  void Forward(int64_t first_sample) override;
  void Backward(float* gradient) override;

 private:
  CudaContext& context_;
  const DeviceActivation input_;
  const Windows windows_;
  const DeviceActivation output_;
  // Where each window's largest was; null where there is no way back.
  int32_t* const places_;
};

// In place; the masks are those of worker/model/cpu/dropout.h. They are drawn
// again on the way back.
class CudaDropout : public Layer {
 public:
  struct Options {
    float rate = 0;  // In [0, 1).
    uint64_t seed = 0;
    uint32_t layer_index = 0;  // In the job's list of layers.
  };

  CudaDropout(CudaContext& context, const DeviceActivation& activation,
              const Options& options);

  const DeviceActivation& output() const { return activation_; }

  void Forward(int64_t first_sample) override;
  void Backward(float* gradient) override;

 private:
  void Apply(float* values);

  CudaContext& context_;
  const DeviceActivation activation_;
  DropoutMask mask_;
};

// [C, samples, H, W] to [C H W, samples], which a dense layer takes.
class CudaFlatten : public Layer {
 public:
  CudaFlatten(CudaContext& context, const DeviceActivation& input);

  const DeviceActivation& output() const { return output_; }

  void Forward(int64_t first_sample) override;
  void Backward(float* gradient) override;

 private:
  CudaContext& context_;
  const DeviceActivation input_;
  const DeviceActivation output_;
};

// The stack's inputs, from pinned memory; their gradient, to it.
class CudaInputs : public Layer {
 public:
  // The memory is the context's, [samples, C, H, W].
  CudaInputs(CudaContext& context, const ActivationShape& shape, int samples,
             bool with_gradient);

  const DeviceActivation& output() const { return output_; }
  absl::Span<float> host_values() const { return host_values_; }
  absl::Span<const float> host_gradient() const { return host_gradient_; }

  void Forward(int64_t first_sample) override;
  void Backward(float* gradient) override;

 private:
  CudaContext& context_;
  const DeviceActivation output_;
  const absl::Span<float> host_values_;
  const absl::Span<float> host_gradient_;
  // In the host's order.
  float* const samples_first_;
};

// The stack's outputs, to pinned memory; their gradient, from it.
class CudaOutputs : public Layer {
 public:
  CudaOutputs(CudaContext& context, const DeviceActivation& input);

  const DeviceActivation& output() const { return input_; }
  absl::Span<const float> host_values() const { return host_values_; }
  absl::Span<float> host_gradient() const { return host_gradient_; }

  void Forward(int64_t first_sample) override;
  void Backward(float* gradient) override;

 private:
  CudaContext& context_;
  const DeviceActivation input_;
  const absl::Span<float> host_values_;
  const absl::Span<float> host_gradient_;
  float* const samples_first_;
};

}  // namespace tessera

#endif  // TESSERA_WORKER_MODEL_CUDA_PLAIN_LAYERS_H_
