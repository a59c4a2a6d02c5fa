// Convolution (cross-correlation, as everywhere in deep learning) with a bias.

#ifndef TESSERA_WORKER_MODEL_CPU_CONV2D_H_
#define TESSERA_WORKER_MODEL_CPU_CONV2D_H_

#include <dnnl.hpp>

#include "common/job/model_plan.h"
#include "common/tensor/layout.h"
#include "worker/model/cpu/activation.h"
#include "worker/model/cpu/onednn.h"
#include "worker/model/layer.h"

namespace tessera {

// With x zero outside [0, H) x [0, W), s the stride and p the padding:
//   y[n,o,i,j] = b[o] + sum_{c,u,v} W[o,c,u,v] x[n,c,i s + u - p,j s + v - p]
class Conv2d : public Layer {
 public:
  struct Options {
    int samples = 1;
    bool training = false;
    // Apply max(y, 0) on the way out: cheaper than a pass over memory. The
    // gradient's mask is still Relu's.
    bool relu = false;
  };

  // `context` must outlive the layer. Throws dnnl::error.
  Conv2d(DnnContext& context, const LayerPlan& plan, const Layout& layout,
         const Activation& input, const Options& options);

  const Activation& output() const { return output_; }

  void TakeParameters(const float* params) override;
  void Forward(int64_t first_sample) override;
  void Backward(float* gradient) override;

 private:
  struct Shapes;

  void MakeForward(DnnContext& context, const Shapes& shapes,
                   const Options& options);
  void MakeBackwardData(DnnContext& context, const Shapes& shapes);
  void MakeBackwardWeights(DnnContext& context, const Shapes& shapes);

  const TensorSpec weight_spec_;
  const TensorSpec bias_spec_;
  const Activation input_;
  Activation output_;

  // The flat vectors' weight and its gradient, at addresses set in each pass.
  dnnl::memory flat_weight_;
  dnnl::memory flat_weight_gradient_;
  dnnl::memory bias_;
  dnnl::memory bias_gradient_;

  dnnl::convolution_forward::primitive_desc forward_description_;
  DnnSequence take_parameters_;
  DnnSequence forward_;
  DnnSequence backward_;
};

}  // namespace tessera

#endif  // TESSERA_WORKER_MODEL_CPU_CONV2D_H_
