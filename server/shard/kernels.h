// The arithmetic of a job on a device.

#ifndef TESSERA_SERVER_SHARD_KERNELS_H_
#define TESSERA_SERVER_SHARD_KERNELS_H_

#include "absl/status/statusor.h"
#include "common/device/device.h"
#include "common/job/job.h"
#include "server/shard/kernel_set.h"

namespace tessera {

// Both arguments must outlive the kernels. Codes: FAILED_PRECONDITION when this
// build has none for the device; else as common/device/device.h.
absl::StatusOr<Kernels> MakeKernels(const Job& job, Device& device);

}  // namespace tessera

#endif  // TESSERA_SERVER_SHARD_KERNELS_H_
