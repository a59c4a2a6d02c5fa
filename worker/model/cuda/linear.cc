#include "worker/model/cuda/linear.h"

#include <algorithm>

#include "common/base/check.h"
#include "worker/model/cuda/pointwise_kernels.h"
#include "worker/model/cuda/unfold_kernel.h"

namespace tessera {
namespace {

// How a convolution unfolds its input; nothing for one that takes it as it is.
Windows WindowsOf(const LayerPlan& plan, const DeviceActivation& input) {
  if (!plan.layer.has_conv2d()) return {};
  const v1::Conv2d& conv = plan.layer.conv2d();
  if (conv.kernel() == 1 && conv.stride() == 1 && conv.padding() == 0) {
    return {};
  }
  return {.channels = input.shape.channels,
          .samples = input.samples,
          .height = input.shape.height,
          .width = input.shape.width,
          .size = conv.kernel(),
          .stride = conv.stride(),
          .padding = conv.padding(),
          .rows = plan.output.height,
          .columns = plan.output.width};
}

}  // namespace

Linear::Linear(CudaContext& context, const LayerPlan& plan,
               const Layout& layout, const DeviceActivation& input,
               const Options& options)
    : Layer(ParametersOf(plan, layout)),
      context_(context),
      input_(input),
      output_(AllocateActivation(context, plan.output, input.samples,
                                 options.training)),
      options_(options),
      windows_(WindowsOf(plan, input)),
      outputs_(plan.output.channels),
      weights_(layout.tensors()[static_cast<size_t>(plan.weight)].size),
      // What does not fit an int has not got its memory either.
      inner_(static_cast<int>(weights_ / outputs_)),
      width_(static_cast<int>(int64_t{input.samples} * output_.plane())),
      device_parameters_(context.Allocate(parameters().size())),
      device_gradient_(options.training ? context.Allocate(parameters().size())
                                        : nullptr),
      arrived_(context.NewEvent()),
      computed_(options.training ? context.NewEvent() : nullptr),
      delivered_(options.training ? context.NewEvent() : nullptr) {
  TESSERA_CHECK(!plan.layer.has_dense() || input.plane() == 1);
  if (windows_.size > 0) context.ReserveScratch(weights_ / outputs_ * width_);
  if (options.training) context.ReserveOnes(width_);
}

void Linear::TakeParameters(const float* params) {
  // A pass ends with nothing under way, so nobody reads the old ones now.
  context_.Copy(context_.upload(), device_parameters_,
                params + parameters().begin, bytes());
  context_.Order(context_.upload(), *arrived_, context_.compute());
}

const float* Linear::Columns() {
  if (windows_.size == 0) return input_.value;
  context_.Run("unfold", [this](cudaStream_t stream) {
    return LaunchUnfold(windows_, input_.value, context_.scratch(), stream);
  });
  return context_.scratch();
}

void Linear::Forward(int64_t) {
  context_.Multiply({.a = {device_parameters_},
                     .b = {Columns()},
                     .c = output_.value,
                     .rows = outputs_,
                     .inner = inner_,
                     .columns = width_});
  context_.Run("add a bias", [this](cudaStream_t stream) {
    return LaunchAddBias(device_parameters_ + weights_, outputs_, width_,
                         options_.relu, output_.value, stream);
  });
}

void Linear::Backward(float* gradient) {
  context_.Multiply({.a = {output_.gradient},
                     .b = {Columns(), true},
                     .c = device_gradient_,
                     .rows = outputs_,
                     .inner = width_,
                     .columns = inner_});
  context_.Multiply({.a = {output_.gradient},
                     .b = {context_.ones()},
                     .c = device_gradient_ + weights_,
                     .rows = outputs_,
                     .inner = width_,
                     .columns = 1});
  context_.Order(context_.compute(), *computed_, context_.download());
  if (input_.has_gradient()) ComputeInputGradient();
  SendGradient(gradient);
}

void Linear::ComputeInputGradient() {
  const bool folds = windows_.size > 0;
  context_.Multiply({.a = {device_parameters_, true},
                     .b = {output_.gradient},
                     .c = folds ? context_.scratch() : input_.gradient,
                     .rows = inner_,
                     .inner = outputs_,
                     .columns = width_});
  if (!folds) return;
  context_.Run("fold back", [this](cudaStream_t stream) {
    return LaunchFoldBack(windows_, context_.scratch(), input_.gradient,
                          stream);
  });
}

float* Linear::Staging() {
  if (staging_.empty()) {
    staging_ = context_.AllocateHost<float>(parameters().size());
  }
  return staging_.data();
}

void Linear::SendGradient(float* gradient) {
  target_ = gradient + parameters().begin;
  passage_ = context_.IsPinned(target_) ? nullptr : Staging();
  context_.Copy(context_.download(), passage_ == nullptr ? target_ : passage_,
                device_gradient_, bytes());
  if (context_.status().ok()) {
    context_.Note(context_.download().Record(*delivered_));
  }
}

absl::Status Linear::AwaitGradient() {
  if (context_.status().ok()) context_.Note(delivered_->Synchronize());
  if (context_.status().ok() && passage_ != nullptr) {
    std::copy_n(passage_, parameters().size(), target_);
  }
  return context_.status();
}

}  // namespace tessera
