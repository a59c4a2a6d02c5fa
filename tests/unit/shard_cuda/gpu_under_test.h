// A CUDA device to test, and arrays in its memory. Which device that is is a
// matter of what a test links: the stand-in, or a real one.

#ifndef TESSERA_TESTS_UNIT_SHARD_CUDA_GPU_UNDER_TEST_H_
#define TESSERA_TESTS_UNIT_SHARD_CUDA_GPU_UNDER_TEST_H_

#include <cstddef>
#include <memory>
#include <vector>

#include "common/device/device.h"
#include "tests/support/status.h"

namespace tessera {

std::unique_ptr<Device> MakeGpuUnderTest();

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

#endif  // TESSERA_TESTS_UNIT_SHARD_CUDA_GPU_UNDER_TEST_H_
