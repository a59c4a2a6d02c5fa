#include "server/shard/kernels.h"

#include "server/shard/cpu/adamw.h"
#include "server/shard/cpu/cpu_block_math.h"
#include "server/shard/cpu/sgd.h"
#include "server/shard/cuda/cuda_kernels.h"

namespace tessera {

absl::StatusOr<Kernels> MakeKernels(const Job& job, Device& device) {
  if (device.kind() == DeviceKind::kCuda) return MakeCudaKernels(job, device);
  const bool is_adamw = job.proto().optimizer().has_adamw();
  return Kernels{.math = MakeCpuBlockMath(),
                 .optimizer = is_adamw ? MakeCpuAdamW(job) : MakeCpuSgd(job)};
}

}  // namespace tessera
