// The contract on the CUDA device, over the stand-in for its runtime.

#include "common/device/cuda/cuda_device.h"

#include "tests/contract/device/device_contract.h"
#include "tests/support/fake_cuda/fake_cuda.h"
#include "tests/support/status.h"

namespace tessera {

std::unique_ptr<Device> MakeDeviceUnderTest() {
  fake_cuda::Reset();
  auto device = MakeCudaDevice();
  REQUIRE_OK(device);
  return *std::move(device);
}

}  // namespace tessera
