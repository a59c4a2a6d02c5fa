#include "worker/model/network.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>

#include "common/base/check.h"
#include "common/base/status_macros.h"
#include "worker/model/cpu/cpu_stack.h"
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
    LossResult loss;
    TESSERA_RETURN_IF_ERROR(training_->Run([&]() -> absl::Status {
      TESSERA_RETURN_IF_ERROR(FirstForward(*training_, params, number, hooks));
      {
        const PartOfPass part(hooks, PassPart::kLoss, loss_name_);
        loss = Loss(training_->outputs(), batch, 0, samples,
                    training_->output_gradient());
      }
      return Backward(gradient, hooks);
    }));
    return loss.sum / static_cast<double>(samples);
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
        return begin == 0 ? FirstForward(*evaluation_, params, 0, hooks)
                          : Forward(*evaluation_, hooks);
      }));
      const LossResult loss =
          Loss(evaluation_->outputs(), batch, begin, count, {});
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

  absl::Status Backward(absl::Span<float> gradient, const PassHooks& hooks) {
    const LayerStack::Layers& layers = training_->layers();
    for (auto layer = layers.rbegin(); layer != layers.rend(); ++layer) {
      {
        const PartOfPass part(hooks, PassPart::kBackward, (*layer)->name());
        (*layer)->Backward(gradient.data());
      }
      if (!(*layer)->has_parameters()) continue;
      TESSERA_RETURN_IF_ERROR(hooks.final_from((*layer)->parameters().begin));
    }
    return absl::OkStatus();
  }

  // The loss of `count` samples, whose targets start at the batch's sample
  // `begin` and whose outputs are the first of the stack's.
  LossResult Loss(absl::Span<const float> stack_outputs, const Batch& batch,
                  size_t begin, size_t count,
                  absl::Span<float> gradient) const {
    const auto values = stack_outputs.first(count * outputs());
    if (job_.model().loss == v1::LOSS_SOFTMAX_CROSS_ENTROPY) {
      return SoftmaxCrossEntropy(values, batch.labels.subspan(begin, count),
                                 gradient);
    }
    return MeanSquaredError(
        values, batch.targets.subspan(begin * outputs(), count * outputs()),
        job_.model().outputs, gradient);
  }

  const Job& job_;
  const std::string loss_name_ = "loss";
  const size_t max_samples_;
  const std::unique_ptr<LayerStack> training_;
  const std::unique_ptr<LayerStack> evaluation_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Network>> Network::Create(const Job& job,
                                                         int max_samples) {
  TESSERA_CHECK(max_samples >= job.microbatch_size());
  TESSERA_ASSIGN_OR_RETURN(
      std::unique_ptr<LayerStack> training,
      MakeCpuStack(job.model(), {.samples = job.microbatch_size(),
                                 .training = true,
                                 .seed = job.proto().seed()}));
  TESSERA_ASSIGN_OR_RETURN(
      std::unique_ptr<LayerStack> evaluation,
      MakeCpuStack(job.model(), {.samples = kEvaluationSamples}));
  return std::make_unique<StackedNetwork>(job, max_samples, std::move(training),
                                          std::move(evaluation));
}

}  // namespace tessera
