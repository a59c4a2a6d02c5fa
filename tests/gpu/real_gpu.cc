// What suites ask for, on the machine's own GPU.

#include <utility>

#include "common/device/cuda/cuda_device.h"
#include "tests/contract/device/device_contract.h"
#include "tests/contract/model/layer_contract.h"
#include "tests/support/status.h"
#include "tests/unit/shard_cuda/gpu_under_test.h"
#include "worker/model/cuda/cuda_stack.h"

namespace tessera {

std::unique_ptr<Device> MakeGpuUnderTest() {
  auto device = MakeCudaDevice();
  REQUIRE_OK(device);
  return *std::move(device);
}

std::unique_ptr<Device> MakeDeviceUnderTest() { return MakeGpuUnderTest(); }

absl::StatusOr<std::unique_ptr<LayerStack>> MakeStackUnderTest(
    const ModelPlan& model, const StackOptions& options) {
  static const std::unique_ptr<Device> device = MakeGpuUnderTest();
  return MakeCudaStack(model, options, *device);
}

}  // namespace tessera
