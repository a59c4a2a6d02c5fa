#include "common/device/cuda/cuda_device.h"

#include <cuda_runtime_api.h>

#include <string>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/device/cuda/cuda_errors.h"
#include "common/device/cuda/cuda_stream.h"

namespace tessera {
namespace {

// A thread that never chose a device has this one, so none has to.
constexpr int kOrdinal = 0;

class CudaDevice final : public Device {
 public:
  explicit CudaDevice(std::string name) : name_(std::move(name)) {}

  DeviceKind kind() const override { return DeviceKind::kCuda; }
  std::string name() const override { return name_; }

  absl::StatusOr<Memory> Allocate(MemoryKind kind, size_t bytes) override {
    TESSERA_RETURN_IF_ERROR(errors_.CheckAlive());
    void* data = nullptr;
    if (bytes > 0) {
      TESSERA_RETURN_IF_ERROR(kind == MemoryKind::kDevice
                                  ? AllocateDevice(bytes, data)
                                  : AllocateHost(bytes, data));
    }
    return Memory(this, kind, data, bytes);
  }

  absl::StatusOr<HostPin> Pin(void* data, size_t bytes) override {
    TESSERA_RETURN_IF_ERROR(errors_.CheckAlive());
    if (bytes == 0) return HostPin();
    TESSERA_RETURN_IF_ERROR(errors_.CheckAllocation(
        cudaHostRegister(data, bytes, cudaHostRegisterPortable),
        "pinning of memory", bytes));
    return HostPin(this, data);
  }

  bool IsPinned(const void* data) const override {
    cudaPointerAttributes attributes;
    if (cudaPointerGetAttributes(&attributes, data) == cudaSuccess) {
      return attributes.type == cudaMemoryTypeHost;
    }
    // Of memory whose kind is not known, nothing is promised.
    cudaGetLastError();
    return false;
  }

  absl::StatusOr<std::unique_ptr<Stream>> CreateStream() override {
    return CudaStream::Create(errors_);
  }

  absl::StatusOr<std::unique_ptr<Event>> CreateEvent() override {
    return CudaEvent::Create(errors_);
  }

 private:
  absl::Status AllocateDevice(size_t bytes, void*& data) {
    return errors_.CheckAllocation(cudaMalloc(&data, bytes), "device memory",
                                   bytes);
  }
  absl::Status AllocateHost(size_t bytes, void*& data) {
    return errors_.CheckAllocation(
        cudaHostAlloc(&data, bytes, cudaHostAllocPortable),
        "pinned host memory", bytes);
  }

  void Free(MemoryKind kind, void* data, size_t) override {
    // A lost device's memory went with it; there is nobody to tell.
    if (kind == MemoryKind::kDevice) {
      cudaFree(data);
    } else {
      cudaFreeHost(data);
    }
  }
  void Unpin(void* data) override { cudaHostUnregister(data); }

  const std::string name_;
  CudaErrors errors_;
};

// How many GPUs this process may see; an error where that is none.
absl::Status CheckAnyGpu() {
  int count = 0;  // Left as it is where there is no driver.
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error == cudaSuccess && count > 0) return absl::OkStatus();
  const bool is_none = error == cudaSuccess || error == cudaErrorNoDevice;
  if (!is_none && error != cudaErrorInsufficientDriver) {
    return absl::InternalError(absl::StrCat(
        "device cuda: cannot count the GPUs: ", DescribeCudaError(error)));
  }
  cudaGetLastError();
  return absl::FailedPreconditionError(absl::StrCat(
      "device cuda: this machine has ",
      is_none ? "no GPU that this process may see (is CUDA_VISIBLE_DEVICES "
                "set?)"
              : "no NVIDIA driver, or one that is too old for this build",
      "; use cpu or auto. CUDA says ",
      DescribeCudaError(error == cudaSuccess ? cudaErrorNoDevice : error)));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Device>> MakeCudaDevice() {
  TESSERA_RETURN_IF_ERROR(CheckAnyGpu());
  // The first call that needs a context makes it; here an error has a cause.
  CudaErrors errors;
  TESSERA_RETURN_IF_ERROR(
      errors.Check(cudaSetDevice(kOrdinal), "device cuda: its first use"));
  cudaDeviceProp properties;
  TESSERA_RETURN_IF_ERROR(
      errors.Check(cudaGetDeviceProperties(&properties, kOrdinal),
                   "device cuda: its properties"));
  return absl::WrapUnique<Device>(new CudaDevice(properties.name));
}

}  // namespace tessera
