// BlockMath on a GPU.

#ifndef TESSERA_SERVER_SHARD_CUDA_CUDA_BLOCK_MATH_H_
#define TESSERA_SERVER_SHARD_CUDA_CUDA_BLOCK_MATH_H_

#include <memory>

#include "server/shard/block_math.h"
#include "server/shard/cuda/gradient_lanes.h"

namespace tessera {

std::unique_ptr<BlockMath> MakeCudaBlockMath(
    std::shared_ptr<GradientLanes> lanes);

}  // namespace tessera

#endif  // TESSERA_SERVER_SHARD_CUDA_CUDA_BLOCK_MATH_H_
