// Errors, devices, memory.

#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "common/base/check.h"
#include "common/base/mutex.h"
#include "tests/support/fake_cuda/runtime_state.h"

namespace {

using tessera::MutexLock;
using tessera::fake_cuda::Call;
using tessera::fake_cuda::kLossError;
using tessera::fake_cuda::kPageBytes;
using tessera::fake_cuda::kPlentyBytes;
using tessera::fake_cuda::Pieces;
using tessera::fake_cuda::Runtime;
using tessera::fake_cuda::TheRuntime;

constexpr size_t kGarbageBytes = 4 << 20;

// Memory of a piece of its own, full of garbage.
cudaError_t Allocate(Runtime& runtime, Pieces& pieces, size_t alignment,
                     void** data, size_t bytes) {
  void* const made = std::aligned_alloc(
      alignment, (bytes + alignment - 1) / alignment * alignment);
  if (made == nullptr) return runtime.Remember(cudaErrorMemoryAllocation);
  // Of workspaces that nobody reads, not all: that would only take time.
  std::memset(made, 0xcd, std::min(bytes, kGarbageBytes));
  pieces[reinterpret_cast<uintptr_t>(made)] = bytes;
  *data = made;
  return cudaSuccess;
}

cudaError_t Free(Runtime& runtime, Pieces& pieces, int& live, void* data) {
  if (data == nullptr) return cudaSuccess;
  const auto found = pieces.find(reinterpret_cast<uintptr_t>(data));
  TESSERA_CHECK(found != pieces.end());
  ASAN_UNPOISON_MEMORY_REGION(data, found->second);
  pieces.erase(found);
  --live;
  std::free(data);
  return runtime.lost ? kLossError : cudaSuccess;
}

}  // namespace

const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "cudaSuccess";
    case cudaErrorMemoryAllocation:
      return "cudaErrorMemoryAllocation";
    case cudaErrorInsufficientDriver:
      return "cudaErrorInsufficientDriver";
    case cudaErrorNoDevice:
      return "cudaErrorNoDevice";
    case cudaErrorIllegalAddress:
      return "cudaErrorIllegalAddress";
    default:
      return "cudaErrorOther";
  }
}

const char* cudaGetErrorString(cudaError_t) { return "words of the stand-in"; }

cudaError_t cudaGetLastError() {
  Runtime& runtime = TheRuntime();
  MutexLock lock(&runtime.mutex);
  return std::exchange(runtime.last_error, cudaSuccess);
}

cudaError_t cudaGetDeviceCount(int* count) {
  Runtime& runtime = TheRuntime();
  MutexLock lock(&runtime.mutex);
  if (runtime.count_error == cudaSuccess) *count = runtime.device_count;
  return runtime.Remember(runtime.count_error);
}

cudaError_t cudaSetDevice(int) { return cudaSuccess; }

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  std::strcpy(properties->name, "Stand-in GPU");
  return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  Runtime& runtime = TheRuntime();
  MutexLock lock(&runtime.mutex);
  if (runtime.lost) return kLossError;
  *total = runtime.device_bytes;
  *free = runtime.device_bytes -
          std::min(runtime.device_bytes, runtime.DeviceBytesInUse());
  return cudaSuccess;
}

cudaError_t cudaMalloc(void** data, size_t bytes) {
  Runtime& runtime = TheRuntime();
  MutexLock lock(&runtime.mutex);
  cudaError_t error = runtime.Begin(Call::kAllocate);
  if (error != cudaSuccess) return error;
  if (bytes > runtime.device_bytes ||
      runtime.DeviceBytesInUse() > runtime.device_bytes - bytes) {
    return runtime.Remember(cudaErrorMemoryAllocation);
  }
  error = Allocate(runtime, runtime.device_memory, 256, data, bytes);
  if (error != cudaSuccess) return error;
  ASAN_POISON_MEMORY_REGION(*data, bytes);
  ++runtime.live.device_memory;
  return cudaSuccess;
}

cudaError_t cudaFree(void* data) {
  Runtime& runtime = TheRuntime();
  MutexLock lock(&runtime.mutex);
  return Free(runtime, runtime.device_memory, runtime.live.device_memory, data);
}

cudaError_t cudaHostAlloc(void** data, size_t bytes, unsigned) {
  Runtime& runtime = TheRuntime();
  MutexLock lock(&runtime.mutex);
  cudaError_t error = runtime.Begin(Call::kAllocateHost);
  if (error != cudaSuccess) return error;
  if (bytes > kPlentyBytes) {
    return runtime.Remember(cudaErrorMemoryAllocation);
  }
  error = Allocate(runtime, runtime.host_memory, kPageBytes, data, bytes);
  if (error == cudaSuccess) ++runtime.live.host_memory;
  return error;
}

cudaError_t cudaFreeHost(void* data) {
  Runtime& runtime = TheRuntime();
  MutexLock lock(&runtime.mutex);
  return Free(runtime, runtime.host_memory, runtime.live.host_memory, data);
}

cudaError_t cudaHostRegister(void* data, size_t bytes, unsigned) {
  Runtime& runtime = TheRuntime();
  MutexLock lock(&runtime.mutex);
  const cudaError_t error = runtime.Begin(Call::kPin);
  if (error != cudaSuccess) return error;
  const auto address = reinterpret_cast<uintptr_t>(data);
  if (address % kPageBytes != 0) {
    return runtime.Remember(cudaErrorInvalidValue);
  }
  if (!runtime.pins.emplace(address, bytes).second) {
    return runtime.Remember(cudaErrorHostMemoryAlreadyRegistered);
  }
  ++runtime.live.pins;
  return cudaSuccess;
}

cudaError_t cudaHostUnregister(void* data) {
  Runtime& runtime = TheRuntime();
  MutexLock lock(&runtime.mutex);
  TESSERA_CHECK(runtime.pins.erase(reinterpret_cast<uintptr_t>(data)) == 1);
  --runtime.live.pins;
  return cudaSuccess;
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes,
                                     const void* data) {
  Runtime& runtime = TheRuntime();
  MutexLock lock(&runtime.mutex);
  if (runtime.lost) return runtime.Remember(kLossError);
  if (runtime.IsOrdinary(data)) {
    attributes->type = cudaMemoryTypeUnregistered;
  } else {
    attributes->type =
        tessera::fake_cuda::FindPiece(runtime.device_memory, data) == nullptr
            ? cudaMemoryTypeHost
            : cudaMemoryTypeDevice;
  }
  return cudaSuccess;
}
