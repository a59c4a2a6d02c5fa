// What flows between layers on a CPU.

#ifndef TESSERA_WORKER_MODEL_CPU_ACTIVATION_H_
#define TESSERA_WORKER_MODEL_CPU_ACTIVATION_H_

#include <dnnl.hpp>

#include "absl/types/span.h"
#include "common/job/model_plan.h"
#include "worker/model/cpu/onednn.h"

namespace tessera {

// A batch's values at one place of the network, [samples, C, H, W], in whatever
// memory format the layer that makes them likes best; and the loss's gradient
// with respect to them, in the same format. A handle: copies share the memory,
// and layers that work in place give their input on.
struct Activation {
  dnnl::memory value;
  // Null where no parameters lie before, so that nobody needs it, and where
  // there is no backward pass.
  dnnl::memory gradient;

  bool has_gradient() const { return static_cast<bool>(gradient); }
};

// Row-major [samples, C, H, W].
dnnl::memory::desc PlainFormat(int samples, const ActivationShape& shape);

// The same shape in a format for oneDNN to choose.
dnnl::memory::desc AnyFormat(int samples, const ActivationShape& shape);

// New memory; `with_gradient` says whether for a gradient as well.
Activation AllocateActivation(const DnnContext& context,
                              const dnnl::memory::desc& format,
                              bool with_gradient);

// All floats of a memory, channel padding included; empty for a null memory.
absl::Span<float> ValuesOf(const dnnl::memory& memory);

}  // namespace tessera

#endif  // TESSERA_WORKER_MODEL_CPU_ACTIVATION_H_
