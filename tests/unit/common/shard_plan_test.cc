#include "common/plan/shard_plan.h"

#include <algorithm>
#include <catch2/catch.hpp>

#include "tests/support/status.h"

namespace tessera {
namespace {

TEST_CASE("blocks and shards cover the vector once, in order, evenly") {
  const int64_t elements = GENERATE(1, 15, 16, 17, 1000, 421642);
  const int64_t block_bytes = GENERATE(4, 64, 4096, 1 << 20);
  const int shards = GENERATE(1, 2, 3, 7);
  CAPTURE(elements, block_bytes, shards);
  const auto plan = ShardPlan::Create(elements, shards, block_bytes);
  const int64_t blocks = (elements * 4 + block_bytes - 1) / block_bytes;
  if (shards > blocks) {
    REQUIRE_ERROR(plan, absl::StatusCode::kInvalidArgument, "servers",
                  std::to_string(blocks));
    return;
  }
  REQUIRE_OK(plan);
  REQUIRE(plan->block_count() == blocks);
  int64_t next_element = 0;
  int64_t next_block = 0;
  int64_t least = blocks, most = 0;
  for (int shard = 0; shard < shards; ++shard) {
    const Interval owned = plan->ShardBlocks(shard);
    REQUIRE(owned.begin == next_block);
    next_block = owned.end;
    least = std::min(least, owned.size());
    most = std::max(most, owned.size());
    REQUIRE(plan->ShardElements(shard).begin == next_element);
    for (int64_t block = owned.begin; block < owned.end; ++block) {
      const Interval piece = plan->BlockElements(static_cast<int>(block));
      REQUIRE(piece.begin == next_element);
      REQUIRE(piece.size() >= 1);
      REQUIRE(piece.size() <= plan->block_elements());
      next_element = piece.end;
      REQUIRE(plan->ShardOfBlock(static_cast<int>(block)) == shard);
      REQUIRE(plan->BlockOfElement(piece.begin) == block);
      REQUIRE(plan->BlockOfElement(piece.end - 1) == block);
    }
    REQUIRE(plan->ShardElements(shard).end == next_element);
  }
  REQUIRE(next_element == elements);
  REQUIRE(next_block == blocks);
  REQUIRE(most - least <= 1);
}

TEST_CASE("a plan that cannot hold is an error") {
  REQUIRE_ERROR(ShardPlan::Create(0, 1, 64), absl::StatusCode::kInvalidArgument,
                "0 elements");
  REQUIRE_ERROR(ShardPlan::Create(10, 0, 64),
                absl::StatusCode::kInvalidArgument, "0 shards");
  REQUIRE_ERROR(ShardPlan::Create(10, 1, 6), absl::StatusCode::kInvalidArgument,
                "6 bytes");
}

TEST_CASE("the words for too many servers name a block size that works") {
  const auto plan = ShardPlan::Create(1000, 5, 1 << 20);
  REQUIRE_ERROR(plan, absl::StatusCode::kInvalidArgument,
                "set block_bytes to 768 or less");
  REQUIRE_OK(ShardPlan::Create(1000, 5, 768));
}

}  // namespace
}  // namespace tessera
