// A fully connected layer.

#ifndef TESSERA_WORKER_MODEL_CPU_DENSE_H_
#define TESSERA_WORKER_MODEL_CPU_DENSE_H_

#include <dnnl.hpp>

#include "common/job/model_plan.h"
#include "common/tensor/layout.h"
#include "worker/model/cpu/activation.h"
#include "worker/model/cpu/onednn.h"
#include "worker/model/layer.h"

namespace tessera {

// Y = X W^T + b, with X [samples, inputs], W [units, inputs], Y [samples,
// units].
//   dX = dY W;  dW = dY^T X;  db = sum of dY over samples
class Dense : public Layer {
 public:
  struct Options {
    int samples = 1;
    bool training = false;
    // Apply max(y, 0) on the way out; the gradient's mask is still Relu's.
    bool relu = false;
  };

  // `input` must be plain; `context` must outlive the layer. Throws
  // dnnl::error.
  Dense(DnnContext& context, const LayerPlan& plan, const Layout& layout,
        const Activation& input, const Options& options);

  const Activation& output() const { return output_; }

  void TakeParameters(const float* params) override;
  void Forward(int64_t first_sample) override;
  void Backward(float* gradient) override;

 private:
  using Tag = dnnl::memory::format_tag;

  // A matrix over part of a flat vector, at an address set in each pass.
  static dnnl::memory Matrix(const DnnContext& context, int64_t rows,
                             int64_t columns, Tag order);
  // The [samples, size] view of a plain activation's memory.
  static dnnl::memory Rows(const DnnContext& context,
                           const dnnl::memory& activation);
  void MakeForward(DnnContext& context, const dnnl::memory& input, bool relu);
  void MakeBackward(DnnContext& context, const Activation& input);

  const TensorSpec weight_spec_;
  const TensorSpec bias_spec_;
  const Activation output_;

  // The flat vector's weight as it is and, in the same memory, as its
  // transpose; its bias; and the weight's gradient.
  dnnl::memory weight_;
  dnnl::memory weight_transposed_;
  dnnl::memory bias_;
  dnnl::memory weight_gradient_;

  DnnSequence forward_;
  DnnSequence backward_;
};

}  // namespace tessera

#endif  // TESSERA_WORKER_MODEL_CPU_DENSE_H_
