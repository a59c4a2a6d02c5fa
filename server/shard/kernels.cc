#include "server/shard/kernels.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "server/shard/cpu/adamw.h"
#include "server/shard/cpu/cpu_block_math.h"
#include "server/shard/cpu/sgd.h"

namespace tessera {

absl::StatusOr<Kernels> MakeKernels(const Job& job, Device& device) {
  if (device.kind() != DeviceKind::kCpu) {
    return absl::FailedPreconditionError(absl::StrCat(
        "this build cannot keep a shard on device ", device.name()));
  }
  const bool is_adamw = job.proto().optimizer().has_adamw();
  return Kernels{.math = MakeCpuBlockMath(),
                 .optimizer = is_adamw ? MakeCpuAdamW(job) : MakeCpuSgd(job)};
}

}  // namespace tessera
