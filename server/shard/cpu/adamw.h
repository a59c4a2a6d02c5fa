// AdamW on the CPU.

#ifndef TESSERA_SERVER_SHARD_CPU_ADAMW_H_
#define TESSERA_SERVER_SHARD_CPU_ADAMW_H_

#include <memory>

#include "common/job/job.h"
#include "server/shard/optimizer.h"

namespace tessera {

// For a job with adamw {}; slots: first moment, second moment. The job must
// outlive it.
std::unique_ptr<Optimizer> MakeCpuAdamW(const Job& job);

}  // namespace tessera

#endif  // TESSERA_SERVER_SHARD_CPU_ADAMW_H_
