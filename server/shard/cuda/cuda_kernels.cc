#include "server/shard/cuda/cuda_kernels.h"

#include <memory>

#include "common/base/status_macros.h"
#include "server/shard/cuda/cuda_block_math.h"
#include "server/shard/cuda/cuda_optimizer.h"
#include "server/shard/cuda/gradient_lanes.h"

namespace tessera {

absl::StatusOr<Kernels> MakeCudaKernels(const Job& job, Device& device) {
  // No payload is longer than a block of float32 values.
  TESSERA_ASSIGN_OR_RETURN(
      std::shared_ptr<GradientLanes> lanes,
      GradientLanes::Create(device, static_cast<size_t>(job.block_bytes())));
  return Kernels{.math = MakeCudaBlockMath(lanes),
                 .optimizer = MakeCudaOptimizer(job, lanes)};
}

}  // namespace tessera
