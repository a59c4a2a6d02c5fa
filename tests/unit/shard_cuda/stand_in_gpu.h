// A CUDA device over the stand-in for its runtime, and arrays in its memory.

#ifndef TESSERA_TESTS_UNIT_SHARD_CUDA_STAND_IN_GPU_H_
#define TESSERA_TESTS_UNIT_SHARD_CUDA_STAND_IN_GPU_H_

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "common/device/cuda/cuda_device.h"
#include "common/device/device.h"
#include "tests/support/fake_cuda/fake_cuda.h"
#include "tests/support/status.h"

namespace tessera {

// A fresh one, with no orders to fail.
inline std::unique_ptr<Device> MakeStandInGpu() {
  fake_cuda::Reset();
  auto device = MakeCudaDevice();
  REQUIRE_OK(device);
  return *std::move(device);
}

// float32 values in device memory, from an address that is `offset` values past
// an aligned one.
class GpuArray {
 public:
  GpuArray(Device& device, const std::vector<float>& values, size_t offset = 0)
      : stream_(*device.CreateStream()),
        memory_(*device.Allocate(MemoryKind::kDevice,
                                 (values.size() + offset) * sizeof(float))),
        size_(values.size()),
        offset_(offset) {
    REQUIRE_OK(stream_->Copy(data(), values.data(), size_ * sizeof(float)));
  }
  GpuArray(Device& device, size_t size, size_t offset = 0)
      : GpuArray(device, std::vector<float>(size, -1.0f), offset) {}

  float* data() const { return static_cast<float*>(memory_.data()) + offset_; }

  std::vector<float> Fetch() const {
    std::vector<float> values(size_);
    REQUIRE_OK(stream_->Copy(values.data(), data(), size_ * sizeof(float)));
    return values;
  }

 private:
  const std::unique_ptr<Stream> stream_;
  const Memory memory_;
  const size_t size_;
  const size_t offset_;
};

}  // namespace tessera

#endif  // TESSERA_TESTS_UNIT_SHARD_CUDA_STAND_IN_GPU_H_
