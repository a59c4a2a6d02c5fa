// A model's layers, and its loss, for one batch size on one device. Another
// kind of device joins by a function like cpu/cpu_stack.h's that makes one of
// these.

#ifndef TESSERA_WORKER_MODEL_LAYER_STACK_H_
#define TESSERA_WORKER_MODEL_LAYER_STACK_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "worker/model/layer.h"
#include "worker/model/loss.h"

namespace tessera {

struct StackOptions {
  // Samples in every batch.
  int samples = 1;
  // Whether there will be backward passes; dropout is on if so.
  bool training = false;
  // Whether the gradient of the inputs is wanted too.
  bool input_gradient = false;
  // Of dropout masks.
  uint64_t seed = 0;
};

// Fill inputs(), run a forward pass, compute the loss, run a backward pass: all
// in one Run. For a model without a loss instead, run a forward pass, read
// outputs(), fill output_gradient(), run a backward pass. The spans are memory
// of the host's that the stack owns, untouched by the device outside Run; a
// device with memory of its own has a first and a last layer that copy. Not
// thread-safe.
class LayerStack {
 public:
  using Layers = std::vector<std::unique_ptr<Layer>>;

  virtual ~LayerStack() = default;

  const Layers& layers() const { return layers_; }

  // [samples, C, H, W]. A forward pass may overwrite it.
  absl::Span<float> inputs() const { return inputs_; }
  // [samples, outputs]. With a loss it may be empty, as may output_gradient().
  absl::Span<const float> outputs() const { return outputs_; }
  // As outputs(); empty unless training.
  absl::Span<float> output_gradient() const { return output_gradient_; }
  // As inputs(); empty unless it was asked for.
  absl::Span<const float> input_gradient() const { return input_gradient_; }

  // Runs `pass`, which calls layers and ComputeLoss, in the way that the device
  // needs: they must not be called otherwise. All work is done when it returns.
  // Codes: those of `pass`; RESOURCE_EXHAUSTED, UNAVAILABLE or INTERNAL when
  // the device fails, as in common/device/device.h.
  virtual absl::Status Run(absl::FunctionRef<absl::Status()> pass) = 0;

  // Of the forward pass before, for the first samples, of which there are as
  // many as targets; for all of them when training, and then the gradient of
  // the loss's mean over the samples is what the backward pass starts from.
  // The model must have a loss. What `targets` refers to may go afterwards.
  virtual void ComputeLoss(const LossTargets& targets) = 0;

  // What ComputeLoss came to in the last Run.
  virtual LossResult loss() const = 0;

  // Whether layers' calls return before their work is done, so that a backward
  // pass does well to call all layers before it awaits the first one's
  // gradient.
  virtual bool runs_behind() const { return false; }

 protected:
  Layers layers_;
  absl::Span<float> inputs_;
  absl::Span<const float> outputs_;
  absl::Span<float> output_gradient_;
  absl::Span<const float> input_gradient_;
};

}  // namespace tessera

#endif  // TESSERA_WORKER_MODEL_LAYER_STACK_H_
