// Dense layers and convolutions on a GPU: both are a matrix product.

#ifndef TESSERA_WORKER_MODEL_CUDA_LINEAR_H_
#define TESSERA_WORKER_MODEL_CUDA_LINEAR_H_

#include <memory>

#include "absl/types/span.h"
#include "common/device/device.h"
#include "common/job/model_plan.h"
#include "common/tensor/layout.h"
#include "worker/model/cuda/activation.h"
#include "worker/model/cuda/cuda_context.h"
#include "worker/model/cuda/windows.h"
#include "worker/model/layer.h"

namespace tessera {

// y = W u(x) + b, with W of [outputs, K], u(x) of [K, M], y of [outputs, M],
// and M as many as samples times places in a plane. For a dense layer u(x) is
// x; for a convolution it is x unfolded, K = channels kernel kernel. Then
//   dW = dy u(x)'    db = dy 1    dx = u'(W' dy)
// with u' the transposed map of u. Each sum has a fixed order.
class Linear : public Layer {
 public:
  struct Options {
    bool training = false;
    bool relu = false;  // Whether to rectify y.
  };

  Linear(CudaContext& context, const LayerPlan& plan, const Layout& layout,
         const DeviceActivation& input, const Options& options);

  const DeviceActivation& output() const { return output_; }

  void TakeParameters(const float* params) override;
  void Forward(int64_t first_sample) override;
  void Backward(float* gradient) override;
  absl::Status AwaitGradient() override;

 private:
  // u(x), unfolded into the context's scratch memory where it is not x.
  const float* Columns();
  void ComputeInputGradient();
  void SendGradient(float* gradient);
  // Pinned memory for the gradient's way to memory that is not.
  float* Staging();

  int64_t bytes() const {
    return parameters().size() * static_cast<int64_t>(sizeof(float));
  }

  CudaContext& context_;
  const DeviceActivation input_;
  const DeviceActivation output_;
  const Options options_;
  // Of `input_`; of size 0 for u(x) = x.
  const Windows windows_;
  const int outputs_;
  const int64_t weights_;  // Elements of W.
  const int inner_;        // K.
  const int width_;        // M.
  // The weight, then the bias, as in the flat vectors.
  float* const device_parameters_;
  float* const device_gradient_;
  // Where the gradient is to go, and where it goes first; null when it goes
  // there at once.
  float* target_ = nullptr;
  float* passage_ = nullptr;
  absl::Span<float> staging_;
  const std::unique_ptr<Event> arrived_;    // Parameters.
  const std::unique_ptr<Event> computed_;   // Their gradient.
  const std::unique_ptr<Event> delivered_;  // It, to the host.
};

}  // namespace tessera

#endif  // TESSERA_WORKER_MODEL_CUDA_LINEAR_H_
