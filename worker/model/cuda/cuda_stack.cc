#include "worker/model/cuda/cuda_stack.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/status_macros.h"
#include "worker/model/cuda/activation.h"
#include "worker/model/cuda/cuda_context.h"
#include "worker/model/cuda/cuda_loss.h"
#include "worker/model/cuda/linear.h"
#include "worker/model/cuda/plain_layers.h"

namespace tessera {
namespace {

class CudaStack : public LayerStack {
 public:
  CudaStack(const StackOptions& options, std::unique_ptr<CudaContext> context)
      : options_(options), context_(std::move(context)) {}
  // Layers refer to the context.
  ~CudaStack() override { layers_.clear(); }

  absl::Status Run(absl::FunctionRef<absl::Status()> pass) override {
    const absl::Status status = pass();
    context_->Finish();
    const absl::Status device_status = context_->TakeStatus();
    return status.ok() ? device_status : status;
  }

  void ComputeLoss(const LossTargets& targets) override {
    TESSERA_CHECK(loss_ != nullptr);
    loss_->Compute(targets);
  }
  LossResult loss() const override { return loss_->result(); }

  bool runs_behind() const override { return true; }

  // Once, before anything else.
  absl::Status Build(const ModelPlan& model) {
    AddInputs(model.layers.front().input);
    for (size_t i = 0; i < model.layers.size(); ++i) {
      AddLayer(model, i);
      if (!context_->status().ok()) {
        return Blame("layer " + model.layers[i].name);
      }
    }
    if (model.loss == v1::LOSS_UNSPECIFIED) {
      AddOutputs();
    } else {
      next_name_ = "outputs";
      MakeFlat();
      loss_ = std::make_unique<CudaLoss>(*context_, model.loss, last_);
    }
    context_->MakeShared();
    context_->Finish();
    return context_->status().ok() ? absl::OkStatus()
                                   : Blame("what all layers share");
  }

 private:
  // For a layer that does nothing but put values in another order.
  static std::string ReorderName(const std::string& name) {
    return absl::StrCat(name, " (reorder)");
  }

  absl::Status Blame(const std::string& part) {
    const absl::Status status = context_->TakeStatus();
    return absl::Status(status.code(),
                        absl::StrCat(part, ": ", status.message()));
  }

  template <typename Kind, typename... Arguments>
  Kind& Add(Arguments&&... arguments) {
    auto layer = std::make_unique<Kind>(*context_,
                                        std::forward<Arguments>(arguments)...);
    Kind& added = *layer;
    last_ = layer->output();
    layer->set_name(next_name_);
    layers_.push_back(std::move(layer));
    return added;
  }

  void AddInputs(const ActivationShape& shape) {
    next_name_ = ReorderName("inputs");
    const CudaInputs& layer =
        Add<CudaInputs>(shape, options_.samples, options_.input_gradient);
    inputs_ = layer.host_values();
    input_gradient_ = layer.host_gradient();
  }

  void AddOutputs() {
    next_name_ = ReorderName("outputs");
    const CudaOutputs& layer = Add<CudaOutputs>(last_);
    outputs_ = layer.host_values();
    output_gradient_ = layer.host_gradient();
  }

  void AddLayer(const ModelPlan& model, size_t index) {
    const LayerPlan& plan = model.layers[index];
    next_name_ = plan.name;
    switch (plan.layer.kind_case()) {
      case v1::Layer::kDense:
        MakeFlat();
        return AddLinear(model, index);
      case v1::Layer::kConv2D:
        return AddLinear(model, index);
      case v1::Layer::kMaxPool:
        Add<CudaMaxPool>(plan, last_, options_.training);
        return;
      case v1::Layer::kRelu:
        Add<CudaRelu>(last_, IsLinear(model, index - 1));
        return;
      case v1::Layer::kFlatten:
        return MakeFlat();
      case v1::Layer::kDropout:
        return AddDropout(plan, index);
      case v1::Layer::KIND_NOT_SET:
        break;
    }
    TESSERA_CHECK(false && "the plan has no such layer");
  }

  static bool IsLinear(const ModelPlan& model, size_t index) {
    if (index >= model.layers.size()) return false;  // Before the first, too.
    const v1::Layer& layer = model.layers[index].layer;
    return layer.has_conv2d() || layer.has_dense();
  }

  void AddLinear(const ModelPlan& model, size_t index) {
    const bool relu = index + 1 < model.layers.size() &&
                      model.layers[index + 1].layer.has_relu();
    next_name_ = model.layers[index].name;
    Add<Linear>(model.layers[index], model.layout, last_,
                Linear::Options{.training = options_.training, .relu = relu});
  }

  void AddDropout(const LayerPlan& plan, size_t index) {
    if (!options_.training) return;
    Add<CudaDropout>(last_, CudaDropout::Options{
                                .rate = plan.layer.dropout().rate(),
                                .seed = options_.seed,
                                .layer_index = static_cast<uint32_t>(index)});
  }

  void MakeFlat() {
    if (last_.plane() == 1) return;
    next_name_ = ReorderName(next_name_);
    Add<CudaFlatten>(last_);
  }

  const StackOptions options_;
  const std::unique_ptr<CudaContext> context_;
  std::unique_ptr<CudaLoss> loss_;
  // What the layers so far give.
  DeviceActivation last_;
  // Of the layer that is being added.
  std::string next_name_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<LayerStack>> MakeCudaStack(
    const ModelPlan& model, const StackOptions& options, Device& device,
    const CudaStackOptions& cuda_options) {
  TESSERA_ASSIGN_OR_RETURN(std::unique_ptr<CudaContext> context,
                           CudaContext::Create(device, cuda_options.tf32));
  auto stack = std::make_unique<CudaStack>(options, std::move(context));
  TESSERA_RETURN_IF_ERROR(stack->Build(model));
  return stack;
}

}  // namespace tessera
