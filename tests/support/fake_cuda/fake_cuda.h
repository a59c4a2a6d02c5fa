// What the stand-in for the CUDA runtime does, and how tests command it.
//
// It is as lazy as CUDA allows: work on a stream is done when somebody waits
// for it, and not before, so whatever is used without waiting is found unmade.
// Device memory starts as garbage, and under AddressSanitizer it is poisoned
// except while the "device" works: a host that touches it is caught, and so is
// a kernel that reads past an end. Copies of ordinary host memory block, as
// CUDA's do.
//
// Like the runtime, it is one for the process. All calls are thread-safe; the
// commands are for quiet moments.

#ifndef TESSERA_TESTS_SUPPORT_FAKE_CUDA_FAKE_CUDA_H_
#define TESSERA_TESTS_SUPPORT_FAKE_CUDA_FAKE_CUDA_H_

#include <cuda_runtime_api.h>

#include <cstdint>
#include <functional>

namespace tessera::fake_cuda {

// Kinds of calls that can be told to fail.
enum class Call {
  kAllocate,      // cudaMalloc
  kAllocateHost,  // cudaHostAlloc
  kPin,           // cudaHostRegister
  kCopy,          // cudaMemcpyAsync, cudaMemsetAsync
  kCreate,        // Streams and events.
  kLaunch,        // Kernels.
  kWait,          // For streams and events, on the host.
};
inline constexpr int kCallKinds = 7;

// What was made and is not gone yet.
struct Live {
  int device_memory = 0;
  int host_memory = 0;
  int pins = 0;
  int streams = 0;
  int events = 0;

  bool operator==(const Live&) const = default;
};

// One healthy device with plenty of memory, no orders to fail, counts at 0.
// What is live stays.
void Reset();

// What cudaGetDeviceCount gives from now on; an error leaves its argument as it
// was, as the runtime does.
void SetDeviceCount(cudaError_t error, int count);

// How much device memory there is.
void SetDeviceMemory(size_t bytes);

// The `nth` call of this kind from now on, 1 for the next, fails with `error`,
// and does nothing.
void FailCall(Call call, int nth, cudaError_t error);

// Calls of all kinds from now on: `calls` of them work, then the device is lost
// by cudaErrorIllegalAddress, and no work is done any more.
void LoseAfter(int calls);

// Since Reset.
int CallCount(Call call);
// Likewise, of all kinds.
int CallCount();

Live LiveObjects();

// For cudaLaunchKernelEx.
cudaError_t EnqueueKernel(cudaStream_t stream, std::function<void()> run);

}  // namespace tessera::fake_cuda

#endif  // TESSERA_TESTS_SUPPORT_FAKE_CUDA_FAKE_CUDA_H_
