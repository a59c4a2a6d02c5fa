#include "worker/model/cpu/to_plain.h"

namespace tessera {

ToPlain::ToPlain(DnnContext& context, const Activation& input,
                 const dnnl::memory::desc& plain)
    : output_(AllocateActivation(context, plain, input.has_gradient())),
      forward_(context),
      backward_(context) {
  forward_.AddReorder(input.value, output_.value);
  if (input.has_gradient()) {
    backward_.AddReorder(output_.gradient, input.gradient);
  }
}

}  // namespace tessera
