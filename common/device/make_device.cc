#include "common/device/make_device.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/device/cpu/cpu_device.h"
#include "common/device/cuda/cuda_device.h"

namespace tessera {

absl::StatusOr<std::unique_ptr<Device>> MakeDevice(absl::string_view name) {
  if (name == "cpu") return MakeCpuDevice();
  if (name == "cuda") return MakeCudaDevice();
  if (name != "auto") {
    return absl::InvalidArgumentError(
        absl::StrCat("device ", name, " is none of auto, cpu, cuda"));
  }
  auto gpu = MakeCudaDevice();
  // Only where there is none; a GPU that is there and fails is for people to
  // look at.
  if (absl::IsFailedPrecondition(gpu.status())) return MakeCpuDevice();
  return gpu;
}

}  // namespace tessera
