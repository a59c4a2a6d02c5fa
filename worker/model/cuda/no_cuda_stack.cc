// Builds without --config=cuda.

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "worker/model/cuda/cuda_stack.h"

namespace tessera {

absl::StatusOr<std::unique_ptr<LayerStack>> MakeCudaStack(
    const ModelPlan&, const StackOptions&, Device& device,
    const CudaStackOptions&) {
  return absl::FailedPreconditionError(
      absl::StrCat("this build has no layers for device ", device.name()));
}

}  // namespace tessera
