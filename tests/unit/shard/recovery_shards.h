// Shards that train, and take their state from each other.

#ifndef TESSERA_TESTS_UNIT_SHARD_RECOVERY_SHARDS_H_
#define TESSERA_TESTS_UNIT_SHARD_RECOVERY_SHARDS_H_

#include <cstdint>
#include <vector>

#include "server/shard/shard_store.h"
#include "tests/unit/shard/test_shards.h"

namespace tessera {

// Takes steps [from, to) in one push of each block, of TestGradient's sums.
void Train(TestShards& shards, int64_t from, int64_t to);

// Sections of the whole flat vector.
using Sections = std::vector<std::vector<float>>;

// What is at `version`, which every block must be at, by way of captures.
Sections CaptureAll(TestShards& shards, int64_t generation, int64_t version,
                    int sections);

// All of a snapshot that has everything.
Sections ReadAll(ShardSnapshot& snapshot, int sections);

// Refers to the sections.
ShardStore::SectionSource From(const Sections& sections);

void RestoreAll(TestShards& shards, int64_t generation, int64_t version,
                const ShardStore::SectionSource& source);

// A push to block 0, of 16 values, all `value`.
struct PlainPush {
  int64_t generation = 0;
  int64_t step = 0;
  float value = 1;
  MicrobatchRange range = {0, 1};
  uint64_t worker = 1;
};
absl::StatusOr<PushResult> Push(TestShards& shards, const PlainPush& push);

}  // namespace tessera

#endif  // TESSERA_TESTS_UNIT_SHARD_RECOVERY_SHARDS_H_
