// Builds without --config=cuda.

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "server/shard/cuda/cuda_kernels.h"

namespace tessera {

absl::StatusOr<Kernels> MakeCudaKernels(const Job&, Device& device) {
  return absl::FailedPreconditionError(
      absl::StrCat("this build cannot keep a shard on device ", device.name()));
}

}  // namespace tessera
