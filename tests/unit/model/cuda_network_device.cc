#include <memory>

#include "common/device/cuda/cuda_device.h"
#include "tests/unit/model/network_device.h"

namespace tessera {

Device& NetworkDevice() {
  static const std::unique_ptr<Device> device = *MakeCudaDevice();
  return *device;
}

}  // namespace tessera
