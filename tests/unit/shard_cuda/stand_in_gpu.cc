#include "tests/unit/shard_cuda/stand_in_gpu.h"

#include <utility>

#include "common/device/cuda/cuda_device.h"

namespace tessera {

std::unique_ptr<Device> MakeGpuUnderTest() {
  fake_cuda::Reset();
  auto device = MakeCudaDevice();
  REQUIRE_OK(device);
  return *std::move(device);
}

}  // namespace tessera
