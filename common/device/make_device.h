// Devices by the name that people give on a command line.

#ifndef TESSERA_COMMON_DEVICE_MAKE_DEVICE_H_
#define TESSERA_COMMON_DEVICE_MAKE_DEVICE_H_

#include <memory>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/device/device.h"

namespace tessera {

// "cpu", "cuda", or "auto": the best that this build and machine have;
// Device::name says which. Codes: FAILED_PRECONDITION when this build or
// machine has no such device, INVALID_ARGUMENT for any other name, else as
// common/device/device.h for a GPU that is there but cannot be used, also for
// "auto".
absl::StatusOr<std::unique_ptr<Device>> MakeDevice(absl::string_view name);

}  // namespace tessera

#endif  // TESSERA_COMMON_DEVICE_MAKE_DEVICE_H_
