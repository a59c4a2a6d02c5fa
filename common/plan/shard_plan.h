// How the flat vector is cut into shards and blocks.
//
//   flat vector  |-------------------------------------------------|
//   blocks       |  0  |  1  |  2  |  3  |  4  |  5  |  6  |  7  |8|
//   shards of 2  |          0            |            1            |
//
// A pure function of (elements, shard count, block bytes), which every process
// computes for itself.

#ifndef TESSERA_COMMON_PLAN_SHARD_PLAN_H_
#define TESSERA_COMMON_PLAN_SHARD_PLAN_H_

#include <cstdint>

#include "absl/status/statusor.h"

namespace tessera {

// [begin, end), of elements of the flat vector or of block indices.
struct Interval {
  int64_t begin = 0;
  int64_t end = 0;

  int64_t size() const { return end - begin; }
  bool Contains(int64_t i) const { return begin <= i && i < end; }
  friend bool operator==(const Interval&, const Interval&) = default;
};

// Immutable, so thread-safe; a value type.
class ShardPlan {
 public:
  // `elements` float32 values, cut into blocks of `block_bytes` (a multiple of
  // 4; the last may be shorter), and the blocks into `shard_count` runs whose
  // lengths differ by at most one. Codes: INVALID_ARGUMENT when a number is
  // below 1 or there are more shards than blocks; the message says what would
  // be right.
  static absl::StatusOr<ShardPlan> Create(int64_t elements, int shard_count,
                                          int64_t block_bytes);

  int64_t elements() const { return elements_; }
  int shard_count() const { return shard_count_; }
  int block_count() const { return block_count_; }
  // Elements in every block but, perhaps, the last.
  int64_t block_elements() const { return block_elements_; }

  // Elements of a block; `block` in [0, block_count()).
  Interval BlockElements(int block) const;
  // Blocks of a shard; `shard` in [0, shard_count()).
  Interval ShardBlocks(int shard) const;
  // Elements of a shard.
  Interval ShardElements(int shard) const;
  // The shard that owns a block.
  int ShardOfBlock(int block) const;
  // The block that holds an element of the flat vector.
  int BlockOfElement(int64_t element) const;

 private:
  ShardPlan(int64_t elements, int shard_count, int64_t block_elements,
            int block_count)
      : elements_(elements),
        shard_count_(shard_count),
        block_elements_(block_elements),
        block_count_(block_count) {}

  int64_t elements_;
  int shard_count_;
  int64_t block_elements_;
  int block_count_;
};

}  // namespace tessera

#endif  // TESSERA_COMMON_PLAN_SHARD_PLAN_H_
