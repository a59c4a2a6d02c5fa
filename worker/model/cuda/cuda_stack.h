// A model's layers on a GPU, by kernels of ours and cuBLAS.

#ifndef TESSERA_WORKER_MODEL_CUDA_CUDA_STACK_H_
#define TESSERA_WORKER_MODEL_CUDA_CUDA_STACK_H_

#include <memory>

#include "absl/status/statusor.h"
#include "common/device/device.h"
#include "common/job/model_plan.h"
#include "worker/model/layer_stack.h"

namespace tessera {

struct CudaStackOptions {
  // Whether products may round their factors to TensorFloat-32.
  bool tf32 = false;
};

// For a device of CUDA, which must outlive the stack; `model` may go
// afterwards. Gradients leave while the backward pass runs: at once for
// the flat vector that it writes where that is pinned memory of the device's,
// elsewhere by way of such memory. Results have the same bits on every GPU of
// one kind, with one cuBLAS; they are not the CPU's, whose sums go in another
// order. Codes: FAILED_PRECONDITION when this build has no CUDA; else as
// common/device/device.h, and the message names the layer.
absl::StatusOr<std::unique_ptr<LayerStack>> MakeCudaStack(
    const ModelPlan& model, const StackOptions& options, Device& device,
    const CudaStackOptions& cuda_options = {});

}  // namespace tessera

#endif  // TESSERA_WORKER_MODEL_CUDA_CUDA_STACK_H_
