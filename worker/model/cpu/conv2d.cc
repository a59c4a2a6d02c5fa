#include "worker/model/cpu/conv2d.h"

#include <algorithm>

namespace tessera {
namespace {

using Dims = dnnl::memory::dims;
using Format = dnnl::memory::desc;
using Tag = dnnl::memory::format_tag;

constexpr auto kFloat = dnnl::memory::data_type::f32;
// Winograd's method is quicker for some shapes, but less exact.
constexpr auto kDirect = dnnl::algorithm::convolution_direct;

}  // namespace

struct Conv2d::Shapes {
  Format source;  // Left to oneDNN, as all but `bias` and `plain_weight`.
  Format weight;
  Format bias;
  Format destination;
  Format plain_weight;
  Dims stride;
  Dims padding;

  Shapes(const LayerPlan& plan, const TensorSpec& weight_spec, int samples)
      : source(AnyFormat(samples, plan.input)),
        weight(weight_spec.shape, kFloat, Tag::any),
        bias({plan.output.channels}, kFloat, Tag::a),
        destination(AnyFormat(samples, plan.output)),
        plain_weight(weight_spec.shape, kFloat, Tag::oihw),
        stride(2, plan.layer.conv2d().stride()),
        padding(2, plan.layer.conv2d().padding()) {}
};

Conv2d::Conv2d(DnnContext& context, const LayerPlan& plan, const Layout& layout,
               const Activation& input, const Options& options)
    : Layer(ParametersOf(plan, layout)),
      weight_spec_(layout.tensors()[static_cast<size_t>(plan.weight)]),
      bias_spec_(layout.tensors()[static_cast<size_t>(plan.bias)]),
      input_(input),
      take_parameters_(context),
      forward_(context),
      backward_(context) {
  const Shapes shapes(plan, weight_spec_, options.samples);
  flat_weight_ = context.Refer(shapes.plain_weight);
  bias_ = context.Allocate(shapes.bias);
  MakeForward(context, shapes, options);
  if (!options.training) return;
  flat_weight_gradient_ = context.Refer(shapes.plain_weight);
  bias_gradient_ = context.Allocate(shapes.bias);
  if (input_.has_gradient()) MakeBackwardData(context, shapes);
  MakeBackwardWeights(context, shapes);
}

void Conv2d::MakeForward(DnnContext& context, const Shapes& shapes,
                         const Options& options) {
  dnnl::primitive_attr attributes = context.Attributes();
  if (options.relu) {
    dnnl::post_ops relu;
    relu.append_eltwise(1, dnnl::algorithm::eltwise_relu, 0, 0);
    attributes.set_post_ops(relu);
  }
  const auto kind = options.training ? dnnl::prop_kind::forward_training
                                     : dnnl::prop_kind::forward_inference;
  forward_description_ = dnnl::convolution_forward::primitive_desc(
      {kind, kDirect, shapes.source, shapes.weight, shapes.bias,
       shapes.destination, shapes.stride, shapes.padding, shapes.padding},
      attributes, context.engine());
  output_ = AllocateActivation(context, forward_description_.dst_desc(),
                               options.training);
  const dnnl::memory weight = take_parameters_.Converted(
      flat_weight_, forward_description_.weights_desc());
  forward_.Add<dnnl::convolution_forward>(
      forward_description_,
      {{DNNL_ARG_SRC,
        forward_.Converted(input_.value, forward_description_.src_desc())},
       {DNNL_ARG_WEIGHTS, weight},
       {DNNL_ARG_BIAS, bias_},
       {DNNL_ARG_DST, output_.value}});
}

void Conv2d::MakeBackwardData(DnnContext& context, const Shapes& shapes) {
  const dnnl::convolution_backward_data::primitive_desc description(
      {kDirect, shapes.source, shapes.weight, shapes.destination, shapes.stride,
       shapes.padding, shapes.padding},
      context.Attributes(), context.engine(), forward_description_);
  const dnnl::memory output_gradient =
      backward_.Converted(output_.gradient, description.diff_dst_desc());
  const bool same = description.diff_src_desc() == input_.gradient.get_desc();
  const dnnl::memory input_gradient =
      same ? input_.gradient : context.Allocate(description.diff_src_desc());
  backward_.Add<dnnl::convolution_backward_data>(
      description,
      {{DNNL_ARG_DIFF_DST, output_gradient},
       {DNNL_ARG_WEIGHTS,
        take_parameters_.Converted(flat_weight_, description.weights_desc())},
       {DNNL_ARG_DIFF_SRC, input_gradient}});
  if (!same) backward_.AddReorder(input_gradient, input_.gradient);
}

void Conv2d::MakeBackwardWeights(DnnContext& context, const Shapes& shapes) {
  const dnnl::convolution_backward_weights::primitive_desc description(
      {kDirect, shapes.source, shapes.weight, shapes.bias, shapes.destination,
       shapes.stride, shapes.padding, shapes.padding},
      context.Attributes(), context.engine(), forward_description_);
  const dnnl::memory weight_gradient =
      context.Allocate(description.diff_weights_desc());
  backward_.Add<dnnl::convolution_backward_weights>(
      description,
      {{DNNL_ARG_SRC,
        backward_.Converted(input_.value, description.src_desc())},
       {DNNL_ARG_DIFF_DST,
        backward_.Converted(output_.gradient, description.diff_dst_desc())},
       {DNNL_ARG_DIFF_WEIGHTS, weight_gradient},
       {DNNL_ARG_DIFF_BIAS, bias_gradient_}});
  backward_.AddReorder(weight_gradient, flat_weight_gradient_);
}

void Conv2d::TakeParameters(const float* params) {
  // oneDNN has no read-only memory; it only reads this one.
  flat_weight_.set_data_handle(const_cast<float*>(params) +
                               weight_spec_.offset);
  std::copy_n(params + bias_spec_.offset, bias_spec_.size,
              ValuesOf(bias_).data());
  take_parameters_.Run();
}

void Conv2d::Forward(int64_t) { forward_.Run(); }

void Conv2d::Backward(float* gradient) {
  flat_weight_gradient_.set_data_handle(gradient + weight_spec_.offset);
  backward_.Run();
  std::copy_n(ValuesOf(bias_gradient_).data(), bias_spec_.size,
              gradient + bias_spec_.offset);
}

}  // namespace tessera
