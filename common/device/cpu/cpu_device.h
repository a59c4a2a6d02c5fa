// This machine's processor as a device. Device memory and host memory are the
// same, and a stream does its work before each call returns.

#ifndef TESSERA_COMMON_DEVICE_CPU_CPU_DEVICE_H_
#define TESSERA_COMMON_DEVICE_CPU_CPU_DEVICE_H_

#include <memory>

#include "common/device/device.h"

namespace tessera {

std::unique_ptr<Device> MakeCpuDevice();

}  // namespace tessera

#endif  // TESSERA_COMMON_DEVICE_CPU_CPU_DEVICE_H_
