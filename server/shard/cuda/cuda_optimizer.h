// Every optimizer on a GPU: kernels with the job's rules. See sgd_kernel.h and
// adamw_kernel.h.

#ifndef TESSERA_SERVER_SHARD_CUDA_CUDA_OPTIMIZER_H_
#define TESSERA_SERVER_SHARD_CUDA_CUDA_OPTIMIZER_H_

#include <memory>

#include "common/job/job.h"
#include "server/shard/cuda/gradient_lanes.h"
#include "server/shard/optimizer.h"

namespace tessera {

// The job's, which must outlive it. Slots: as on the CPU.
std::unique_ptr<Optimizer> MakeCudaOptimizer(
    const Job& job, std::shared_ptr<GradientLanes> lanes);

}  // namespace tessera

#endif  // TESSERA_SERVER_SHARD_CUDA_CUDA_OPTIMIZER_H_
