// BlockMath on the CPU.

#ifndef TESSERA_SERVER_SHARD_CPU_CPU_BLOCK_MATH_H_
#define TESSERA_SERVER_SHARD_CPU_CPU_BLOCK_MATH_H_

#include <memory>

#include "server/shard/block_math.h"

namespace tessera {

std::unique_ptr<BlockMath> MakeCpuBlockMath();

}  // namespace tessera

#endif  // TESSERA_SERVER_SHARD_CPU_CPU_BLOCK_MATH_H_
