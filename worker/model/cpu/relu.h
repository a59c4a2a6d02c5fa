// The rectifier.

#ifndef TESSERA_WORKER_MODEL_CPU_RELU_H_
#define TESSERA_WORKER_MODEL_CPU_RELU_H_

#include "worker/model/cpu/activation.h"
#include "worker/model/layer.h"

namespace tessera {

// y = max(x, 0), in place: the sign of y is all that the gradient needs. At 0
// the gradient is 0.
class Relu : public Layer {
 public:
  // `applied` says that the layer before has rectified the values already.
  Relu(const Activation& activation, bool applied)
      : activation_(activation), applied_(applied) {}

  const Activation& output() const { return activation_; }

  void Forward(int64_t first_sample) override;
  void Backward(float* gradient) override;

 private:
  const Activation activation_;
  const bool applied_;
};

}  // namespace tessera

#endif  // TESSERA_WORKER_MODEL_CPU_RELU_H_
