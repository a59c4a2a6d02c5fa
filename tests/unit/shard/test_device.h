// Which device the shards under test are on: a matter of what a test links.

#ifndef TESSERA_TESTS_UNIT_SHARD_TEST_DEVICE_H_
#define TESSERA_TESTS_UNIT_SHARD_TEST_DEVICE_H_

namespace tessera {

// MakeDevice's name for it.
extern const char* const kShardTestDevice;

}  // namespace tessera

#endif  // TESSERA_TESTS_UNIT_SHARD_TEST_DEVICE_H_
