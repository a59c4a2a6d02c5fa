// What every device must do, as a suite. A backend's test is one cc_test that
// links this and says which device it is about.

#ifndef TESSERA_TESTS_CONTRACT_DEVICE_DEVICE_CONTRACT_H_
#define TESSERA_TESTS_CONTRACT_DEVICE_DEVICE_CONTRACT_H_

#include <memory>

#include "common/device/device.h"

namespace tessera {

// Defined by the backend's test: a device to try, never null.
std::unique_ptr<Device> MakeDeviceUnderTest();

}  // namespace tessera

#endif  // TESSERA_TESTS_CONTRACT_DEVICE_DEVICE_CONTRACT_H_
