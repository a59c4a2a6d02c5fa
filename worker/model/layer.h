// What a network needs of a layer, on whatever device it runs.

#ifndef TESSERA_WORKER_MODEL_LAYER_H_
#define TESSERA_WORKER_MODEL_LAYER_H_

#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "common/job/model_plan.h"
#include "common/plan/shard_plan.h"
#include "common/tensor/layout.h"

namespace tessera {

// One layer for one batch size. It is made with the buffers that it reads and
// writes, so a pass only says when. A forward pass is, for each layer in order,
// TakeParameters (once they may be read; later forward passes with the same
// parameters leave it out) and Forward; a backward pass is Backward, last layer
// first, after a forward pass, and AwaitGradient. On a device with a processor
// of its own calls only order the work; see LayerStack::runs_behind. Not
// thread-safe.
class Layer {
 public:
  // `parameters` is the layer's interval of the flat vectors: its weight, then
  // its bias; empty for a layer without parameters.
  explicit Layer(const Interval& parameters = {}) : parameters_(parameters) {}
  virtual ~Layer() = default;
  Layer(const Layer&) = delete;
  Layer& operator=(const Layer&) = delete;

  // For people: the job's name for it, or one made up for a step in between.
  const std::string& name() const { return name_; }
  void set_name(std::string name) { name_ = std::move(name); }

  const Interval& parameters() const { return parameters_; }
  bool has_parameters() const { return parameters_.size() > 0; }

  // `params` is the whole flat vector; the layer may keep referring to its
  // interval of it until the pass is over.
  virtual void TakeParameters(const float* params) { (void)params; }

  // `first_sample` numbers the batch's first sample within the whole run: step
  // * batch size + its place in the step's batch.
  virtual void Forward(int64_t first_sample) = 0;

  // Turns the gradient of the output into that of the input, if the layer was
  // made with room for one, and then writes its interval of the flat vector
  // `gradient`.
  virtual void Backward(float* gradient) = 0;

  // Returns once what Backward writes is in `gradient`, for a layer with
  // parameters. Codes: those of LayerStack::Run when the device failed.
  virtual absl::Status AwaitGradient() { return absl::OkStatus(); }

 private:
  const Interval parameters_;
  std::string name_;
};

// Where the parameters of a layer that has some lie.
inline Interval ParametersOf(const LayerPlan& plan, const Layout& layout) {
  const TensorSpec& weight = layout.tensors()[static_cast<size_t>(plan.weight)];
  const TensorSpec& bias = layout.tensors()[static_cast<size_t>(plan.bias)];
  return {weight.offset, bias.offset + bias.size};
}

}  // namespace tessera

#endif  // TESSERA_WORKER_MODEL_LAYER_H_
