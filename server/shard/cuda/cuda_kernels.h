// The arithmetic of a job on a GPU.

#ifndef TESSERA_SERVER_SHARD_CUDA_CUDA_KERNELS_H_
#define TESSERA_SERVER_SHARD_CUDA_CUDA_KERNELS_H_

#include "absl/status/statusor.h"
#include "common/device/device.h"
#include "common/job/job.h"
#include "server/shard/kernel_set.h"

namespace tessera {

// For a device of CUDA. Both arguments must outlive the kernels. Codes:
// FAILED_PRECONDITION when this build has none; else as
// common/device/device.h.
absl::StatusOr<Kernels> MakeCudaKernels(const Job& job, Device& device);

}  // namespace tessera

#endif  // TESSERA_SERVER_SHARD_CUDA_CUDA_KERNELS_H_
