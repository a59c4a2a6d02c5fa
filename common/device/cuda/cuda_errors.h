// What CUDA's calls return, as statuses. See common/device/device.h for the
// codes.

#ifndef TESSERA_COMMON_DEVICE_CUDA_CUDA_ERRORS_H_
#define TESSERA_COMMON_DEVICE_CUDA_CUDA_ERRORS_H_

#include <cuda_runtime_api.h>

#include <atomic>
#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace tessera {

// "cudaErrorNoDevice (100): no CUDA-capable device is detected".
std::string DescribeCudaError(cudaError_t error);

// Whether nothing can be done with the device in this process any more. CUDA
// reports such an error at some later call, and then at every one.
bool LosesDevice(cudaError_t error);

// The errors of one device, and whether it was lost. Thread-safe.
class CudaErrors {
 public:
  // OK, until the device is lost.
  absl::Status CheckAlive() const;

  // `what` was tried and came to `error`: UNAVAILABLE when that loses the
  // device, RESOURCE_EXHAUSTED for its lack of memory, else INTERNAL.
  absl::Status Check(cudaError_t error, absl::string_view what);

  // Likewise, for an allocation.
  absl::Status CheckAllocation(cudaError_t error, absl::string_view what,
                               size_t bytes);

 private:
  // The first error that lost the device.
  std::atomic<cudaError_t> lost_ = cudaSuccess;
};

}  // namespace tessera

#endif  // TESSERA_COMMON_DEVICE_CUDA_CUDA_ERRORS_H_
