#include "worker/model/network.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>

#include "common/base/check.h"
#include "common/base/status_macros.h"
#include "worker/model/cpu/cpu_stack.h"
#include "worker/model/cuda/cuda_stack.h"
#include "worker/model/layer_stack.h"
#include "worker/model/loss.h"

namespace tessera {
namespace {

// Samples that are evaluated together. Always as many, the last ones padded, so
// that a sample's result does not depend on how many others there are.
constexpr int kEvaluationSamples = 32;

// One layer's part of a pass, for its length.
class PartOfPass {
 public:
  PartOfPass(const PassHooks& hooks, PassPart part, const std::string& layer)
      : hooks_(hooks), part_(part), layer_(layer) {
    if (hooks_.begins) hooks_.begins(part_, layer_);
  }
  ~PartOfPass() {
    if (hooks_.ends) hooks_.ends(part_, layer_);
  }
  PartOfPass(const PartOfPass&) = delete;
  PartOfPass& operator=(const PartOfPass&) = delete;

 private:
  const PassHooks& hooks_;
  const PassPart part_;
  const std::string& layer_;
};

class StackedNetwork : public Network {
 public:
  StackedNetwork(const Job& job, int max_samples,
                 std::unique_ptr<LayerStack> training,
                 std::unique_ptr<LayerStack> evaluation)
      : job_(job),
        max_samples_(static_cast<size_t>(max_samples)),
        training_(std::move(training)),
        evaluation_(std::move(evaluation)) {}

  absl::StatusOr<double> Train(absl::Span<const float> params,
                               const Batch& batch, int64_t step,
                               int64_t first_sample, absl::Span<float> gradient,
                               const PassHooks& hooks) override {
    const auto samples = static_cast<size_t>(job_.microbatch_size());
    TESSERA_CHECK(batch.inputs.size() == training_->inputs().size());
    CheckSizes(params, batch, samples);
    TESSERA_CHECK(gradient.size() == params.size());
    std::copy(batch.inputs.begin(), batch.inputs.end(),
              training_->inputs().begin());
    const int64_t number = step * job_.batch_size() + first_sample;
    TESSERA_RETURN_IF_ERROR(training_->Run([&]() -> absl::Status {
      TESSERA_RETURN_IF_ERROR(FirstForward(*training_, params, number, hooks));
      {
        const PartOfPass part(hooks, PassPart::kLoss, loss_name_);
        training_->ComputeLoss(Targets(batch, 0, samples));
      }
      return Backward(gradient, hooks);
    }));
    return training_->loss().sum / static_cast<double>(samples);
  }

  absl::StatusOr<EvaluationScore> Evaluate(absl::Span<const float> params,
                                           const Batch& batch,
                                           const PassHooks& hooks) override {
    const size_t samples = batch.inputs.size() / sample_size();
    TESSERA_CHECK(batch.inputs.size() == samples * sample_size());
    TESSERA_CHECK(samples <= max_samples_);
    CheckSizes(params, batch, samples);
    EvaluationScore score;
    for (size_t begin = 0; begin < samples; begin += kEvaluationSamples) {
      const size_t count =
          std::min(samples - begin, size_t{kEvaluationSamples});
      TakeEvaluationInputs(
          batch.inputs.subspan(begin * sample_size(), count * sample_size()));
      TESSERA_RETURN_IF_ERROR(evaluation_->Run([&]() -> absl::Status {
        TESSERA_RETURN_IF_ERROR(
            begin == 0 ? FirstForward(*evaluation_, params, 0, hooks)
                       : Forward(*evaluation_, hooks));
        evaluation_->ComputeLoss(Targets(batch, begin, count));
        return absl::OkStatus();
      }));
      const LossResult loss = evaluation_->loss();
      score.loss_sum += loss.sum;
      score.correct += loss.correct;
    }
    return score;
  }

 private:
  size_t sample_size() const {
    return evaluation_->inputs().size() / kEvaluationSamples;
  }
  size_t outputs() const { return static_cast<size_t>(job_.model().outputs); }

  void CheckSizes(absl::Span<const float> params, const Batch& batch,
                  size_t samples) const {
    TESSERA_CHECK(std::ssize(params) == job_.layout().total_elements());
    if (job_.model().loss == v1::LOSS_SOFTMAX_CROSS_ENTROPY) {
      TESSERA_CHECK(batch.labels.size() == samples);
    } else {
      TESSERA_CHECK(batch.targets.size() == samples * outputs());
    }
  }

  void TakeEvaluationInputs(absl::Span<const float> inputs) {
    const absl::Span<float> to = evaluation_->inputs();
    std::copy(inputs.begin(), inputs.end(), to.begin());
    std::fill(to.begin() + std::ssize(inputs), to.end(), 0.0f);
  }

  // A forward pass with new parameters, each layer's as soon as it may be read.
  static absl::Status FirstForward(const LayerStack& stack,
                                   absl::Span<const float> params,
                                   int64_t first_sample,
                                   const PassHooks& hooks) {
    for (const auto& layer : stack.layers()) {
      if (layer->has_parameters()) {
        const Interval& needed = layer->parameters();
        TESSERA_RETURN_IF_ERROR(hooks.need(needed.begin, needed.end));
      }
      const PartOfPass part(hooks, PassPart::kForward, layer->name());
      if (layer->has_parameters()) layer->TakeParameters(params.data());
      layer->Forward(first_sample);
    }
    return absl::OkStatus();
  }

  // Another forward pass with the same parameters, for evaluation.
  static absl::Status Forward(const LayerStack& stack, const PassHooks& hooks) {
    for (const auto& layer : stack.layers()) {
      const PartOfPass part(hooks, PassPart::kForward, layer->name());
      layer->Forward(0);
    }
    return absl::OkStatus();
  }

  // Where the device runs behind, it has all of its work before this thread
  // awaits the first gradient, and hands each on while it computes the next.
  absl::Status Backward(absl::Span<float> gradient, const PassHooks& hooks) {
    const LayerStack::Layers& layers = training_->layers();
    const bool at_once = !training_->runs_behind();
    for (auto layer = layers.rbegin(); layer != layers.rend(); ++layer) {
      {
        const PartOfPass part(hooks, PassPart::kBackward, (*layer)->name());
        (*layer)->Backward(gradient.data());
      }
      if (at_once) TESSERA_RETURN_IF_ERROR(HandOn(**layer, hooks));
    }
    if (at_once) return absl::OkStatus();
    for (auto layer = layers.rbegin(); layer != layers.rend(); ++layer) {
      TESSERA_RETURN_IF_ERROR(HandOn(**layer, hooks));
    }
    return absl::OkStatus();
  }

  static absl::Status HandOn(Layer& layer, const PassHooks& hooks) {
    if (!layer.has_parameters()) return absl::OkStatus();
    TESSERA_RETURN_IF_ERROR(layer.AwaitGradient());
    return hooks.final_from(layer.parameters().begin);
  }

  // Of `count` samples from the batch's sample `begin`.
  LossTargets Targets(const Batch& batch, size_t begin, size_t count) const {
    if (job_.model().loss == v1::LOSS_SOFTMAX_CROSS_ENTROPY) {
      return {.labels = batch.labels.subspan(begin, count)};
    }
    return {.targets =
                batch.targets.subspan(begin * outputs(), count * outputs())};
  }

  const Job& job_;
  const std::string loss_name_ = "loss";
  const size_t max_samples_;
  const std::unique_ptr<LayerStack> training_;
  const std::unique_ptr<LayerStack> evaluation_;
};

absl::StatusOr<std::unique_ptr<LayerStack>> MakeStack(
    const ModelPlan& model, const StackOptions& stack,
    const NetworkOptions& options) {
  if (options.device == nullptr || options.device->kind() == DeviceKind::kCpu) {
    return MakeCpuStack(model, stack);
  }
  return MakeCudaStack(model, stack, *options.device, {.tf32 = options.tf32});
}

}  // namespace

absl::StatusOr<std::unique_ptr<Network>> Network::Create(
    const Job& job, int max_samples, const NetworkOptions& options) {
  TESSERA_CHECK(max_samples >= job.microbatch_size());
  TESSERA_ASSIGN_OR_RETURN(std::unique_ptr<LayerStack> training,
                           MakeStack(job.model(),
                                     {.samples = job.microbatch_size(),
                                      .training = true,
                                      .seed = job.proto().seed()},
                                     options));
  TESSERA_ASSIGN_OR_RETURN(
      std::unique_ptr<LayerStack> evaluation,
      MakeStack(job.model(), {.samples = kEvaluationSamples}, options));
  return std::make_unique<StackedNetwork>(job, max_samples, std::move(training),
                                          std::move(evaluation));
}

}  // namespace tessera
