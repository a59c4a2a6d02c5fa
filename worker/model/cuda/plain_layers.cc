#include "worker/model/cuda/plain_layers.h"

#include "common/base/philox.h"
#include "worker/model/cuda/pool_kernel.h"

namespace tessera {
namespace {

constexpr int64_t kFloat = sizeof(float);

Windows WindowsOf(const LayerPlan& plan, const DeviceActivation& input) {
  const v1::MaxPool& pool = plan.layer.max_pool();
  return {.channels = input.shape.channels,
          .samples = input.samples,
          .height = input.shape.height,
          .width = input.shape.width,
          .size = pool.size(),
          .stride = pool.stride(),
          .rows = plan.output.height,
          .columns = plan.output.width};
}

ActivationShape Flat(const ActivationShape& shape) {
  return {static_cast<int>(shape.size()), 1, 1};
}

}  // namespace

void CudaRelu::Forward(int64_t) {
  if (applied_) return;
  context_.Run("rectify", [this](cudaStream_t stream) {
    return LaunchRelu(activation_.size(), activation_.value, stream);
  });
}

void CudaRelu::Backward(float*) {
  if (!activation_.has_gradient()) return;
  context_.Run("the rectifier's gradient", [this](cudaStream_t stream) {
    return LaunchReluGradient(activation_.value, activation_.size(),
                              activation_.gradient, stream);
  });
}

CudaMaxPool::CudaMaxPool(CudaContext& context, const LayerPlan& plan,
                         const DeviceActivation& input, bool training)
    : context_(context),
      input_(input),
      windows_(WindowsOf(plan, input)),
      output_(AllocateActivation(context, plan.output, input.samples,
                                 training && input.has_gradient())),
      places_(output_.has_gradient() ? context.Allocate<int32_t>(output_.size())
                                     : nullptr) {}

void CudaMaxPool::Forward(int64_t) {
  context_.Run("max pooling", [this](cudaStream_t stream) {
    return LaunchMaxPool(windows_, input_.value, output_.value, places_,
                         stream);
  });
}

void CudaMaxPool::Backward(float*) {
  if (!output_.has_gradient()) return;
  context_.Run("max pooling's gradient", [this](cudaStream_t stream) {
    return LaunchMaxPoolGradient(windows_, output_.gradient, places_,
                                 input_.gradient, stream);
  });
}

CudaDropout::CudaDropout(CudaContext& context,
                         const DeviceActivation& activation,
                         const Options& options)
    : context_(context),
      activation_(activation),
      mask_{.key = {static_cast<uint32_t>(options.seed),
                    static_cast<uint32_t>(options.seed >> 32)},
            .layer = options.layer_index,
            .stream = static_cast<uint32_t>(RandomStream::kDropout),
            .threshold = static_cast<uint32_t>(double{options.rate} * 0x1p32),
            .scale = 1 / (1 - options.rate)} {}

void CudaDropout::Forward(int64_t first_sample) {
  mask_.first_sample = static_cast<uint64_t>(first_sample);
  Apply(activation_.value);
}

void CudaDropout::Backward(float*) {
  if (activation_.has_gradient()) Apply(activation_.gradient);
}

void CudaDropout::Apply(float* values) {
  context_.Run("dropout", [&](cudaStream_t stream) {
    return LaunchDropout(mask_, activation_.shape.channels, activation_.samples,
                         activation_.plane(), values, stream);
  });
}

CudaFlatten::CudaFlatten(CudaContext& context, const DeviceActivation& input)
    : context_(context),
      input_(input),
      output_(AllocateActivation(context, Flat(input.shape), input.samples,
                                 input.has_gradient())) {}

void CudaFlatten::Forward(int64_t) {
  context_.Run("flatten", [this](cudaStream_t stream) {
    return LaunchSwapInner(input_.value, input_.shape.channels, input_.samples,
                           input_.plane(), output_.value, stream);
  });
}

void CudaFlatten::Backward(float*) {
  if (!output_.has_gradient()) return;
  context_.Run("flatten's gradient", [this](cudaStream_t stream) {
    return LaunchSwapInner(output_.gradient, input_.shape.channels,
                           input_.plane(), input_.samples, input_.gradient,
                           stream);
  });
}

CudaInputs::CudaInputs(CudaContext& context, const ActivationShape& shape,
                       int samples, bool with_gradient)
    : context_(context),
      output_(AllocateActivation(context, shape, samples, with_gradient)),
      host_values_(context.AllocateHost<float>(output_.size())),
      host_gradient_(with_gradient ? context.AllocateHost<float>(output_.size())
                                   : absl::Span<float>()),
      samples_first_(context.Allocate(output_.size())) {}

void CudaInputs::Forward(int64_t) {
  context_.Copy(context_.compute(), samples_first_, host_values_.data(),
                output_.size() * kFloat);
  context_.Run("reorder the inputs", [this](cudaStream_t stream) {
    return LaunchSwapOuter(samples_first_, output_.samples,
                           output_.shape.channels, output_.plane(),
                           output_.value, stream);
  });
}

void CudaInputs::Backward(float*) {
  if (!output_.has_gradient()) return;
  context_.Run("reorder the inputs' gradient", [this](cudaStream_t stream) {
    return LaunchSwapOuter(output_.gradient, output_.shape.channels,
                           output_.samples, output_.plane(), samples_first_,
                           stream);
  });
  context_.Copy(context_.compute(), host_gradient_.data(), samples_first_,
                output_.size() * kFloat);
}

CudaOutputs::CudaOutputs(CudaContext& context, const DeviceActivation& input)
    : context_(context),
      input_(input),
      host_values_(context.AllocateHost<float>(input.size())),
      host_gradient_(input.has_gradient()
                         ? context.AllocateHost<float>(input.size())
                         : absl::Span<float>()),
      samples_first_(context.Allocate(input.size())) {}

void CudaOutputs::Forward(int64_t) {
  context_.Run("reorder the outputs", [this](cudaStream_t stream) {
    return LaunchSwapOuter(input_.value, input_.shape.channels, input_.samples,
                           input_.plane(), samples_first_, stream);
  });
  context_.Copy(context_.compute(), host_values_.data(), samples_first_,
                input_.size() * kFloat);
}

void CudaOutputs::Backward(float*) {
  if (!input_.has_gradient()) return;
  context_.Copy(context_.compute(), samples_first_, host_gradient_.data(),
                input_.size() * kFloat);
  context_.Run("reorder the outputs' gradient", [this](cudaStream_t stream) {
    return LaunchSwapOuter(samples_first_, input_.samples,
                           input_.shape.channels, input_.plane(),
                           input_.gradient, stream);
  });
}

}  // namespace tessera
