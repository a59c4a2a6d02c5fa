// All the arithmetic that a shard needs of its device.

#ifndef TESSERA_SERVER_SHARD_KERNEL_SET_H_
#define TESSERA_SERVER_SHARD_KERNEL_SET_H_

#include <memory>

#include "server/shard/block_math.h"
#include "server/shard/optimizer.h"

namespace tessera {

struct Kernels {
  std::unique_ptr<BlockMath> math;
  std::unique_ptr<Optimizer> optimizer;
};

}  // namespace tessera

#endif  // TESSERA_SERVER_SHARD_KERNEL_SET_H_
