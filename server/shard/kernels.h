// The arithmetic of a job on a device.

#ifndef TESSERA_SERVER_SHARD_KERNELS_H_
#define TESSERA_SERVER_SHARD_KERNELS_H_

#include <memory>

#include "absl/status/statusor.h"
#include "common/device/device.h"
#include "common/job/job.h"
#include "server/shard/block_math.h"
#include "server/shard/optimizer.h"

namespace tessera {

struct Kernels {
  std::unique_ptr<BlockMath> math;
  std::unique_ptr<Optimizer> optimizer;
};

// Both arguments must outlive the kernels. Codes: FAILED_PRECONDITION when this
// build has none for the device.
absl::StatusOr<Kernels> MakeKernels(const Job& job, Device& device);

}  // namespace tessera

#endif  // TESSERA_SERVER_SHARD_KERNELS_H_
