// Max pooling.

#ifndef TESSERA_WORKER_MODEL_CPU_MAX_POOL_H_
#define TESSERA_WORKER_MODEL_CPU_MAX_POOL_H_

#include "common/job/model_plan.h"
#include "worker/model/cpu/activation.h"
#include "worker/model/cpu/onednn.h"
#include "worker/model/layer.h"

namespace tessera {

// y[n,c,i,j] = the largest of x[n,c,i s + u,j s + v] for 0 <= u, v < size, with
// s the stride. Rows and columns that fill no window are left out. The gradient
// goes to the place of the largest; to the first, in row-major order, of
// equals.
class MaxPool : public Layer {
 public:
  // `context` must outlive the layer. Throws dnnl::error.
  MaxPool(DnnContext& context, const LayerPlan& plan, const Activation& input,
          int samples, bool training);

  const Activation& output() const { return output_; }

  void Forward(int64_t first_sample) override;
  void Backward(float* gradient) override;

 private:
  Activation output_;
  DnnSequence forward_;
  DnnSequence backward_;
};

}  // namespace tessera

#endif  // TESSERA_WORKER_MODEL_CPU_MAX_POOL_H_
