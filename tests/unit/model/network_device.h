// Which device the networks under test run on: a matter of what a test links.

#ifndef TESSERA_TESTS_UNIT_MODEL_NETWORK_DEVICE_H_
#define TESSERA_TESTS_UNIT_MODEL_NETWORK_DEVICE_H_

#include "common/device/device.h"

namespace tessera {

// One for the whole test.
Device& NetworkDevice();

}  // namespace tessera

#endif  // TESSERA_TESTS_UNIT_MODEL_NETWORK_DEVICE_H_
