#include <memory>

#include "common/device/cpu/cpu_device.h"
#include "tests/unit/model/network_device.h"

namespace tessera {

Device& NetworkDevice() {
  static const std::unique_ptr<Device> device = MakeCpuDevice();
  return *device;
}

}  // namespace tessera
