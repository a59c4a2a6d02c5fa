// What flows between layers on a GPU.

#ifndef TESSERA_WORKER_MODEL_CUDA_ACTIVATION_H_
#define TESSERA_WORKER_MODEL_CUDA_ACTIVATION_H_

#include <cstdint>

#include "common/job/model_plan.h"
#include "worker/model/cuda/cuda_context.h"

namespace tessera {

// A batch's values at one place of the network and the loss's gradient with
// respect to them, in the GPU's memory, both [C, samples, H, W]. With channels
// outermost, a convolution's output, and a dense layer's, is just what a matrix
// product gives, and adding a bias goes along rows. A handle: copies share the
// memory, and layers that work in place give their input on.
struct DeviceActivation {
  float* value = nullptr;
  // Null where no parameters lie before, so that nobody needs it, and where
  // there is no backward pass.
  float* gradient = nullptr;
  ActivationShape shape;  // Of a sample.
  int samples = 0;

  bool has_gradient() const { return gradient != nullptr; }
  int64_t size() const { return samples * shape.size(); }
  int plane() const { return shape.height * shape.width; }
};

// New memory, from the context; `with_gradient` says whether for a gradient as
// well.
inline DeviceActivation AllocateActivation(CudaContext& context,
                                           const ActivationShape& shape,
                                           int samples, bool with_gradient) {
  DeviceActivation made{.shape = shape, .samples = samples};
  made.value = context.Allocate(made.size());
  if (with_gradient) made.gradient = context.Allocate(made.size());
  return made;
}

}  // namespace tessera

#endif  // TESSERA_WORKER_MODEL_CUDA_ACTIVATION_H_
