// Builds without --config=cuda.

#include "absl/status/status.h"
#include "common/device/cuda/cuda_device.h"

namespace tessera {

absl::StatusOr<std::unique_ptr<Device>> MakeCudaDevice() {
  return absl::FailedPreconditionError(
      "device cuda: this build has no CUDA; build with \"bazel build "
      "--config=cuda\", which needs NVIDIA's CUDA Toolkit, or use cpu or auto");
}

}  // namespace tessera
