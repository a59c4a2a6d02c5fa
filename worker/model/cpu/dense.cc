#include "worker/model/cpu/dense.h"

#include <algorithm>
#include <cstddef>

#include "absl/types/span.h"
#include "common/base/check.h"

namespace tessera {
namespace {

constexpr auto kFloat = dnnl::memory::data_type::f32;

// Appends C = A B (+ bias, if it is not null); whether one of them is stored
// transposed is a matter of its format.
void AddProduct(DnnContext& context, DnnSequence& sequence,
                const dnnl::memory& a, const dnnl::memory& b,
                const dnnl::memory& bias, const dnnl::memory& c,
                const dnnl::primitive_attr& attributes) {
  DnnSequence::Arguments arguments = {
      {DNNL_ARG_SRC, a}, {DNNL_ARG_WEIGHTS, b}, {DNNL_ARG_DST, c}};
  dnnl::memory::desc bias_format;
  if (bias) {
    bias_format = bias.get_desc();
    arguments.emplace(DNNL_ARG_BIAS, bias);
  }
  const dnnl::matmul::desc product(a.get_desc(), b.get_desc(), bias_format,
                                   c.get_desc());
  sequence.Add<dnnl::matmul>({product, attributes, context.engine()},
                             std::move(arguments));
}

// The sums of the columns of `rows`, row-major [n, sums.size()].
void SumColumns(absl::Span<const float> rows, absl::Span<float> sums) {
  std::fill(sums.begin(), sums.end(), 0.0f);
  for (size_t row = 0; row < rows.size(); row += sums.size()) {
    for (size_t i = 0; i < sums.size(); ++i) sums[i] += rows[row + i];
  }
}

// oneDNN has no read-only memory; it only reads this one.
void PointTo(dnnl::memory& memory, const float* values) {
  memory.set_data_handle(const_cast<float*>(values));
}

}  // namespace

dnnl::memory Dense::Matrix(const DnnContext& context, int64_t rows,
                           int64_t columns, Tag order) {
  return context.Refer({{rows, columns}, kFloat, order});
}

dnnl::memory Dense::Rows(const DnnContext& context,
                         const dnnl::memory& activation) {
  const dnnl::memory::dims dims = activation.get_desc().dims();
  dnnl::memory rows =
      Matrix(context, dims[0], dims[1] * dims[2] * dims[3], Tag::ab);
  rows.set_data_handle(activation.get_data_handle());
  return rows;
}

Dense::Dense(DnnContext& context, const LayerPlan& plan, const Layout& layout,
             const Activation& input, const Options& options)
    : Layer(ParametersOf(plan, layout)),
      weight_spec_(layout.tensors()[static_cast<size_t>(plan.weight)]),
      bias_spec_(layout.tensors()[static_cast<size_t>(plan.bias)]),
      output_(AllocateActivation(context,
                                 PlainFormat(options.samples, plan.output),
                                 options.training)),
      forward_(context),
      backward_(context) {
  TESSERA_CHECK(input.value.get_desc() ==
                PlainFormat(options.samples, plan.input));
  const int64_t units = weight_spec_.shape[0];
  const int64_t inputs = weight_spec_.shape[1];
  weight_ = Matrix(context, units, inputs, Tag::ab);
  weight_transposed_ = Matrix(context, inputs, units, Tag::ba);
  bias_ = Matrix(context, 1, units, Tag::ab);
  MakeForward(context, Rows(context, input.value), options.relu);
  if (!options.training) return;
  weight_gradient_ = Matrix(context, units, inputs, Tag::ab);
  MakeBackward(context, input);
}

void Dense::MakeForward(DnnContext& context, const dnnl::memory& input,
                        bool relu) {
  dnnl::primitive_attr attributes = context.Attributes();
  if (relu) {
    dnnl::post_ops post_ops;
    post_ops.append_eltwise(1, dnnl::algorithm::eltwise_relu, 0, 0);
    attributes.set_post_ops(post_ops);
  }
  AddProduct(context, forward_, input, weight_transposed_, bias_,
             Rows(context, output_.value), attributes);
}

void Dense::MakeBackward(DnnContext& context, const Activation& input) {
  const dnnl::memory output_gradient = Rows(context, output_.gradient);
  if (input.has_gradient()) {
    AddProduct(context, backward_, output_gradient, weight_, {},
               Rows(context, input.gradient), context.Attributes());
  }
  const dnnl::memory::dims dims = output_gradient.get_desc().dims();
  dnnl::memory transposed = Matrix(context, dims[1], dims[0], Tag::ba);
  transposed.set_data_handle(output_gradient.get_data_handle());
  AddProduct(context, backward_, transposed, Rows(context, input.value), {},
             weight_gradient_, context.Attributes());
}

void Dense::TakeParameters(const float* params) {
  PointTo(weight_, params + weight_spec_.offset);
  PointTo(weight_transposed_, params + weight_spec_.offset);
  PointTo(bias_, params + bias_spec_.offset);
}

void Dense::Forward(int64_t) { forward_.Run(); }

void Dense::Backward(float* gradient) {
  weight_gradient_.set_data_handle(gradient + weight_spec_.offset);
  backward_.Run();
  SumColumns(
      ValuesOf(output_.gradient),
      {gradient + bias_spec_.offset, static_cast<size_t>(bias_spec_.size)});
}

}  // namespace tessera
