// The contract on the CUDA device, over the stand-in for its libraries.

#include "common/device/cuda/cuda_device.h"
#include "tests/contract/model/layer_contract.h"
#include "tests/support/fake_cuda/fake_cublas.h"
#include "tests/support/fake_cuda/fake_cuda.h"
#include "tests/support/status.h"
#include "worker/model/cuda/cuda_stack.h"

namespace tessera {

absl::StatusOr<std::unique_ptr<LayerStack>> MakeStackUnderTest(
    const ModelPlan& model, const StackOptions& options) {
  fake_cuda::Reset();
  fake_cublas::Reset();
  static const std::unique_ptr<Device> device = [] {
    auto made = MakeCudaDevice();
    REQUIRE_OK(made);
    return *std::move(made);
  }();
  return MakeCudaStack(model, options, *device);
}

}  // namespace tessera
