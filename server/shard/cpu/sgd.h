// Stochastic gradient descent, plain or with momentum, on the CPU.

#ifndef TESSERA_SERVER_SHARD_CPU_SGD_H_
#define TESSERA_SERVER_SHARD_CPU_SGD_H_

#include <memory>

#include "common/job/job.h"
#include "server/shard/optimizer.h"

namespace tessera {

// For a job with sgd {}; no slot without momentum, one with it. The job must
// outlive it.
std::unique_ptr<Optimizer> MakeCpuSgd(const Job& job);

}  // namespace tessera

#endif  // TESSERA_SERVER_SHARD_CPU_SGD_H_
