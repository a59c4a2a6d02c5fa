// A shard whose versions lie in a shared region.

#include <catch2/catch.hpp>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "common/device/cpu/cpu_device.h"
#include "common/shm/shared_region.h"
#include "server/shard/shard_store.h"
#include "tests/support/status.h"
#include "tests/support/test_job.h"

namespace tessera {
namespace {

BlockVersion Pull(ShardStore& store, int64_t version) {
  BlockVersion got;
  store.Pull(0, version, [&](absl::StatusOr<BlockVersion> answer) {
    REQUIRE_OK(answer);
    got = *std::move(answer);
  });
  return got;
}

void Push(ShardStore& store, int64_t step) {
  const std::vector<float> ones(1024, 1);
  REQUIRE_OK(store.Push(
      {.block = 0, .step = step, .range = {0, 1}, .worker = WorkerId(1)},
      FragmentedBytes::OfFloats(ones)));
}

TEST_CASE("versions lie in the region as far as it reaches") {
  const Job job =
      MakeTestJob({.parameters = 1024, .microbatches = 1, .block_bytes = 4096});
  const auto device = MakeCpuDevice();
  // Room for two versions of the only block.
  const auto region = SharedRegion::Create(2 * 4096).value();
  auto store = ShardStore::Create(job, MakeTestPlan(job, 1), 0, *device,
                                  nullptr, region);
  REQUIRE_OK(store);
  const auto plain = ShardStore::Create(job, MakeTestPlan(job, 1), 0, *device);
  const auto lies_in_region = [&](const BlockVersion& version) {
    return region->OffsetOf(version.values.data(), 4096).has_value();
  };
  std::vector<BlockVersion> held;
  for (int64_t step = 0; step < 4; ++step) {
    held.push_back(Pull(**store, step));
    REQUIRE(lies_in_region(held.back()) == (step < 2));
    Push(**store, step);
    Push(**plain, step);
  }
  REQUIRE((*store)->StateHash() == (*plain)->StateHash());
  // What was in the region is used again once it is let go.
  held.clear();
  int shared = 0;
  for (int64_t step = 4; step < 8; ++step) {
    Push(**store, step);
    shared += lies_in_region(Pull(**store, step + 1)) ? 1 : 0;
  }
  REQUIRE(shared > 0);
}

TEST_CASE("versions outlive their store, and keep the region") {
  const Job job =
      MakeTestJob({.parameters = 1024, .microbatches = 1, .block_bytes = 4096});
  const auto device = MakeCpuDevice();
  auto region = SharedRegion::Create(1 << 20).value();
  const std::weak_ptr<SharedRegion> watch = region;
  BlockVersion last;
  {
    auto store = ShardStore::Create(job, MakeTestPlan(job, 1), 0, *device,
                                    nullptr, std::move(region));
    REQUIRE_OK(store);
    last = Pull(**store, 0);
  }
  REQUIRE_FALSE(watch.expired());
  REQUIRE(last.values[1000] == last.values[1000]);
  last = {};
  REQUIRE(watch.expired());
}

}  // namespace
}  // namespace tessera
