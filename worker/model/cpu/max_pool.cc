#include "worker/model/cpu/max_pool.h"

#include <dnnl.hpp>

namespace tessera {

MaxPool::MaxPool(DnnContext& context, const LayerPlan& plan,
                 const Activation& input, int samples, bool training)
    : forward_(context), backward_(context) {
  constexpr auto kMax = dnnl::algorithm::pooling_max;
  const v1::MaxPool& pool = plan.layer.max_pool();
  const dnnl::memory::dims size(2, pool.size());
  const dnnl::memory::dims stride(2, pool.stride());
  const dnnl::memory::dims padding(2, 0);
  const dnnl::memory::desc source = input.value.get_desc();
  const dnnl::pooling_forward::primitive_desc forward(
      {training ? dnnl::prop_kind::forward_training
                : dnnl::prop_kind::forward_inference,
       kMax, source, AnyFormat(samples, plan.output), stride, size, padding,
       padding},
      context.Attributes(), context.engine());
  output_ = AllocateActivation(context, forward.dst_desc(),
                               training && input.has_gradient());
  DnnSequence::Arguments arguments = {{DNNL_ARG_SRC, input.value},
                                      {DNNL_ARG_DST, output_.value}};
  // Where each window's largest was.
  dnnl::memory places;
  if (training) {
    places = context.Allocate(forward.workspace_desc());
    arguments.emplace(DNNL_ARG_WORKSPACE, places);
  }
  forward_.Add<dnnl::pooling_forward>(forward, std::move(arguments));
  if (!output_.has_gradient()) return;
  backward_.Add<dnnl::pooling_backward>(
      {{kMax, source, forward.dst_desc(), stride, size, padding, padding},
       context.Attributes(),
       context.engine(),
       forward},
      {{DNNL_ARG_DIFF_DST, output_.gradient},
       {DNNL_ARG_WORKSPACE, places},
       {DNNL_ARG_DIFF_SRC, input.gradient}});
}

void MaxPool::Forward(int64_t) { forward_.Run(); }

void MaxPool::Backward(float*) { backward_.Run(); }

}  // namespace tessera
