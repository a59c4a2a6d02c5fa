#include "common/device/cpu/cpu_device.h"

#include "tests/contract/device/device_contract.h"

namespace tessera {

std::unique_ptr<Device> MakeDeviceUnderTest() { return MakeCpuDevice(); }

}  // namespace tessera
