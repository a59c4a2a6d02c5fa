#include "worker/model/cpu/cpu_stack.h"

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/status_macros.h"
#include "worker/model/cpu/activation.h"
#include "worker/model/cpu/conv2d.h"
#include "worker/model/cpu/dense.h"
#include "worker/model/cpu/dropout.h"
#include "worker/model/cpu/max_pool.h"
#include "worker/model/cpu/onednn.h"
#include "worker/model/cpu/relu.h"
#include "worker/model/cpu/to_plain.h"

namespace tessera {
namespace {

// A layer with its place in the job's list.
struct PlannedLayer {
  LayerPlan plan;
  uint32_t index = 0;
};

// max(pool(x), 0) = pool(max(x, 0)), value by value, and the gradients are the
// same; but after the pool there are fewer values to go over.
std::vector<PlannedLayer> WithPoolsFirst(const std::vector<LayerPlan>& plans) {
  std::vector<PlannedLayer> layers;
  for (const LayerPlan& plan : plans) {
    layers.push_back({plan, static_cast<uint32_t>(layers.size())});
  }
  for (size_t i = 1; i < layers.size(); ++i) {
    LayerPlan& relu = layers[i - 1].plan;
    const LayerPlan& pool = layers[i].plan;
    if (!relu.layer.has_relu() || !pool.layer.has_max_pool()) continue;
    relu.input = relu.output = pool.output;
    std::swap(layers[i - 1], layers[i]);
  }
  return layers;
}

class CpuStack : public LayerStack {
 public:
  CpuStack(const StackOptions& options, v1::Loss loss, int width)
      : options_(options),
        loss_kind_(loss),
        width_(static_cast<size_t>(width)) {}
  // Layers refer to the context.
  ~CpuStack() override { layers_.clear(); }

  absl::Status Run(absl::FunctionRef<absl::Status()> pass) override {
    return CallOneDnn(pass);
  }

  void ComputeLoss(const LossTargets& targets) override {
    const size_t values = loss_kind_ == v1::LOSS_SOFTMAX_CROSS_ENTROPY
                              ? targets.labels.size() * width_
                              : targets.targets.size();
    loss_ = tessera::ComputeLoss(loss_kind_, outputs().first(values), targets,
                                 static_cast<int>(width_), output_gradient());
  }
  LossResult loss() const override { return loss_; }

  // Once, before anything else, under CallOneDnn.
  absl::Status Build(const ModelPlan& model) {
    const std::vector<PlannedLayer> plans = WithPoolsFirst(model.layers);
    MakeInput(plans.front().plan.input);
    for (size_t i = 0; i < plans.size(); ++i) {
      const bool relu_next =
          i + 1 < plans.size() && plans[i + 1].plan.layer.has_relu();
      const bool relu_done = i > 0 && (plans[i - 1].plan.layer.has_conv2d() ||
                                       plans[i - 1].plan.layer.has_dense());
      const absl::Status added = CallOneDnn([&] {
        AddLayer(plans[i], model.layout,
                 plans[i].plan.layer.has_relu() ? relu_done : relu_next);
        return absl::OkStatus();
      });
      if (!added.ok()) return NameLayer(plans[i].plan, added);
    }
    MakePlain(plans.back().plan.output);
    outputs_ = ValuesOf(last_.value);
    output_gradient_ = ValuesOf(last_.gradient);
    return absl::OkStatus();
  }

 private:
  static absl::Status NameLayer(const LayerPlan& plan,
                                const absl::Status& status) {
    return absl::Status(status.code(), absl::StrCat("layer ", plan.name, ": ",
                                                    status.message()));
  }

  void MakeInput(const ActivationShape& shape) {
    input_ = AllocateActivation(context_, PlainFormat(options_.samples, shape),
                                options_.input_gradient);
    inputs_ = ValuesOf(input_.value);
    input_gradient_ = ValuesOf(input_.gradient);
    last_ = input_;
  }

  template <typename Kind, typename... Arguments>
  void Add(Arguments&&... arguments) {
    auto layer = std::make_unique<Kind>(std::forward<Arguments>(arguments)...);
    last_ = layer->output();
    layer->set_name(next_name_);
    layers_.push_back(std::move(layer));
  }

  // `relu`: for a layer with parameters, whether a ReLU follows; for a ReLU,
  // whether the layer before has done its work.
  void AddLayer(const PlannedLayer& planned, const Layout& layout, bool relu) {
    const LayerPlan& plan = planned.plan;
    next_name_ = plan.name;
    const int samples = options_.samples;
    const bool training = options_.training;
    switch (plan.layer.kind_case()) {
      case v1::Layer::kDense:
        MakePlain(plan.input);
        return Add<Dense>(
            context_, plan, layout, last_,
            Dense::Options{
                .samples = samples, .training = training, .relu = relu});
      case v1::Layer::kConv2D:
        return Add<Conv2d>(
            context_, plan, layout, last_,
            Conv2d::Options{
                .samples = samples, .training = training, .relu = relu});
      case v1::Layer::kMaxPool:
        return Add<MaxPool>(context_, plan, last_, samples, training);
      case v1::Layer::kRelu:
        return Add<Relu>(last_, relu);
      case v1::Layer::kFlatten:
        return Flatten(plan);
      case v1::Layer::kDropout:
        return AddDropout(planned);
      case v1::Layer::KIND_NOT_SET:
        break;
    }
    TESSERA_CHECK(false && "the plan has no such layer");
  }

  void AddDropout(const PlannedLayer& planned) {
    if (!options_.training) return;
    MakePlain(planned.plan.input);
    Add<Dropout>(last_,
                 Dropout::Options{.samples = options_.samples,
                                  .rate = planned.plan.layer.dropout().rate(),
                                  .seed = options_.seed,
                                  .layer_index = planned.index});
  }

  // From here on the last activation is row-major.
  void MakePlain(const ActivationShape& shape) {
    const dnnl::memory::desc plain = PlainFormat(options_.samples, shape);
    if (last_.value.get_desc() == plain) return;
    Add<ToPlain>(context_, last_, plain);
    layers_.back()->set_name(absl::StrCat(next_name_, " (reorder)"));
  }

  // The same memory under another shape; the layer that made it keeps it.
  void Flatten(const LayerPlan& plan) {
    MakePlain(plan.input);
    const dnnl::memory::desc flat = PlainFormat(options_.samples, plan.output);
    last_.value = Reshaped(last_.value, flat);
    if (last_.has_gradient()) last_.gradient = Reshaped(last_.gradient, flat);
  }

  dnnl::memory Reshaped(const dnnl::memory& memory,
                        const dnnl::memory::desc& format) const {
    return {format, context_.engine(), memory.get_data_handle()};
  }

  const StackOptions options_;
  const v1::Loss loss_kind_;
  const size_t width_;
  LossResult loss_;
  DnnContext context_;
  Activation input_;
  // What the layers so far give.
  Activation last_;
  // Of the layer that is being added.
  std::string next_name_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<LayerStack>> MakeCpuStack(
    const ModelPlan& model, const StackOptions& options) {
  std::unique_ptr<CpuStack> stack;
  TESSERA_RETURN_IF_ERROR(CallOneDnn([&] {
    stack = std::make_unique<CpuStack>(options, model.loss, model.outputs);
    return stack->Build(model);
  }));
  return stack;
}

}  // namespace tessera
