#include "common/plan/shard_plan.h"

#include <algorithm>
#include <limits>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/check.h"

namespace tessera {

absl::StatusOr<ShardPlan> ShardPlan::Create(int64_t elements, int shard_count,
                                            int64_t block_bytes) {
  if (elements < 1 || shard_count < 1 || block_bytes < 4 ||
      block_bytes % 4 != 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "cannot cut ", elements, " elements into ", shard_count,
        " shards of blocks of ", block_bytes,
        " bytes: all must be at least 1, and block bytes a multiple of 4"));
  }
  const int64_t block_elements = block_bytes / 4;
  const int64_t blocks = (elements + block_elements - 1) / block_elements;
  if (blocks > std::numeric_limits<int>::max() / 2) {
    return absl::InvalidArgumentError(
        absl::StrCat("block_bytes ", block_bytes, " makes ", blocks,
                     " blocks, more than 2^30; use larger blocks"));
  }
  if (shard_count > blocks) {
    return absl::InvalidArgumentError(absl::StrCat(
        shard_count, " servers are more than the job's ", blocks, " blocks of ",
        block_bytes, " bytes: use at most ", blocks,
        " servers, or set block_bytes to ",
        std::max<int64_t>(64, elements * 4 / shard_count / 64 * 64),
        " or less"));
  }
  return ShardPlan(elements, shard_count, block_elements,
                   static_cast<int>(blocks));
}

Interval ShardPlan::BlockElements(int block) const {
  TESSERA_CHECK(block >= 0 && block < block_count_);
  const int64_t begin = block * block_elements_;
  return {begin, std::min(begin + block_elements_, elements_)};
}

Interval ShardPlan::ShardBlocks(int shard) const {
  TESSERA_CHECK(shard >= 0 && shard < shard_count_);
  const int64_t blocks = block_count_;
  return {blocks * shard / shard_count_, blocks * (shard + 1) / shard_count_};
}

Interval ShardPlan::ShardElements(int shard) const {
  const Interval blocks = ShardBlocks(shard);
  return {BlockElements(static_cast<int>(blocks.begin)).begin,
          BlockElements(static_cast<int>(blocks.end) - 1).end};
}

int ShardPlan::ShardOfBlock(int block) const {
  TESSERA_CHECK(block >= 0 && block < block_count_);
  // The inverse of floor(blocks * shard / shards).
  const int64_t shard = (int64_t{block + 1} * shard_count_ - 1) / block_count_;
  return static_cast<int>(shard);
}

int ShardPlan::BlockOfElement(int64_t element) const {
  TESSERA_CHECK(element >= 0 && element < elements_);
  return static_cast<int>(element / block_elements_);
}

}  // namespace tessera
