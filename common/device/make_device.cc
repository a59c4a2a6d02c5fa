#include "common/device/make_device.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/device/cpu/cpu_device.h"

namespace tessera {

absl::StatusOr<std::unique_ptr<Device>> MakeDevice(absl::string_view name) {
  if (name == "cpu" || name == "auto") return MakeCpuDevice();
  if (name == "cuda") {
    return absl::FailedPreconditionError(
        "device cuda: this build has no CUDA; use cpu or auto");
  }
  return absl::InvalidArgumentError(
      absl::StrCat("device ", name, " is none of auto, cpu, cuda"));
}

}  // namespace tessera
