// A model's layers for one batch size on one device. Another kind of device
// joins by a function like cpu/cpu_stack.h's that makes one of these.

#ifndef TESSERA_WORKER_MODEL_LAYER_STACK_H_
#define TESSERA_WORKER_MODEL_LAYER_STACK_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "worker/model/layer.h"

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

// Fill inputs(), run a forward pass, read outputs(); fill output_gradient(),
// run a backward pass. The spans are memory of the host's that the stack owns;
// a device with memory of its own has a first and a last layer that copy. Not
// thread-safe.
class LayerStack {
 public:
  using Layers = std::vector<std::unique_ptr<Layer>>;

  virtual ~LayerStack() = default;

  const Layers& layers() const { return layers_; }

  // [samples, C, H, W]. A forward pass may overwrite it.
  absl::Span<float> inputs() const { return inputs_; }
  // [samples, outputs].
  absl::Span<const float> outputs() const { return outputs_; }
  // As outputs(); empty unless training.
  absl::Span<float> output_gradient() const { return output_gradient_; }
  // As inputs(); empty unless it was asked for.
  absl::Span<const float> input_gradient() const { return input_gradient_; }

  // Runs `pass`, which calls layers, in the way that the device needs: layers
  // must not be called otherwise. Codes: those of `pass`; RESOURCE_EXHAUSTED or
  // INTERNAL when the device fails.
  virtual absl::Status Run(absl::FunctionRef<absl::Status()> pass) = 0;

 protected:
  Layers layers_;
  absl::Span<float> inputs_;
  absl::Span<const float> outputs_;
  absl::Span<float> output_gradient_;
  absl::Span<const float> input_gradient_;
};

}  // namespace tessera

#endif  // TESSERA_WORKER_MODEL_LAYER_STACK_H_
