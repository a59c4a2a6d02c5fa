// One of NVIDIA's GPUs as a device.

#ifndef TESSERA_COMMON_DEVICE_CUDA_CUDA_DEVICE_H_
#define TESSERA_COMMON_DEVICE_CUDA_CUDA_DEVICE_H_

#include <memory>

#include "absl/status/statusor.h"
#include "common/device/device.h"

namespace tessera {

// The first GPU that this process may see; CUDA_VISIBLE_DEVICES chooses. Host
// memory is pinned, so leave most of a machine's memory to others. Codes:
// FAILED_PRECONDITION when this build or this machine has none, and how to
// change that; else as common/device/device.h.
absl::StatusOr<std::unique_ptr<Device>> MakeCudaDevice();

}  // namespace tessera

#endif  // TESSERA_COMMON_DEVICE_CUDA_CUDA_DEVICE_H_
