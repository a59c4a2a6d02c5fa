#include "worker/model/cpu/activation.h"

#include <cstddef>

namespace tessera {
namespace {

dnnl::memory::desc Format(int samples, const ActivationShape& shape,
                          dnnl::memory::format_tag tag) {
  return {{samples, shape.channels, shape.height, shape.width},
          dnnl::memory::data_type::f32,
          tag};
}

}  // namespace

dnnl::memory::desc PlainFormat(int samples, const ActivationShape& shape) {
  return Format(samples, shape, dnnl::memory::format_tag::nchw);
}

dnnl::memory::desc AnyFormat(int samples, const ActivationShape& shape) {
  return Format(samples, shape, dnnl::memory::format_tag::any);
}

Activation AllocateActivation(const DnnContext& context,
                              const dnnl::memory::desc& format,
                              bool with_gradient) {
  Activation activation{.value = context.Allocate(format), .gradient = {}};
  if (with_gradient) activation.gradient = context.Allocate(format);
  return activation;
}

absl::Span<float> ValuesOf(const dnnl::memory& memory) {
  if (!memory) return {};
  return {static_cast<float*>(memory.get_data_handle()),
          memory.get_desc().get_size() / sizeof(float)};
}

}  // namespace tessera
