#include "tests/unit/shard/test_device.h"

namespace tessera {

const char* const kShardTestDevice = "cuda";

}  // namespace tessera
