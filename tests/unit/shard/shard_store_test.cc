// The store's contract: pushes, pulls, versions, waits, counters.

#include "server/shard/shard_store.h"

#include <catch2/catch.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/device/make_device.h"
#include "common/tensor/bfloat16.h"
#include "tests/support/status.h"
#include "tests/support/test_job.h"
#include "tests/unit/shard/test_device.h"
#include "tests/unit/shard/test_shards.h"

namespace tessera {
namespace {

using Answer = absl::StatusOr<BlockVersion>;

// 40 parameters in blocks of 16: the last has 8.
struct Harness {
  explicit Harness(TestJobOptions options = {.parameters = 40},
                   int shard_count = 1)
      : shards(MakeTestJob(options),
               MakeTestPlan(MakeTestJob(options), shard_count)) {}

  ShardStore& store() { return shards.store(0); }

  absl::StatusOr<PushResult> Push(int64_t step, const MicrobatchRange& range,
                                  int block = 0, double loss = 0) {
    return shards.Push(block, step, range, std::vector<float>(40, 1.0f), loss);
  }

  // Both microbatches of a step, for one block.
  void Complete(int64_t step, int block = 0) {
    REQUIRE_OK(Push(step, {0, 1}, block));
    REQUIRE_OK(Push(step, {1, 2}, block));
  }

  TestShards shards;
};

// Collects the answers to a pull; there must be one at most.
struct Listener {
  PullCallback Callback() {
    return [this](Answer result) {
      REQUIRE_FALSE(answer.has_value());
      answer = std::move(result);
    };
  }
  std::optional<Answer> answer;
};

TEST_CASE("a push is added, counted again as duplicate, or completes") {
  Harness h;
  auto pushed = h.Push(0, {0, 1});
  REQUIRE_OK(pushed);
  REQUIRE(pushed->outcome == PushOutcome::kAdded);
  REQUIRE(pushed->newest_version == 0);
  REQUIRE(h.Push(0, {0, 1})->outcome == PushOutcome::kDuplicate);
  pushed = h.Push(0, {1, 2});
  REQUIRE(pushed->outcome == PushOutcome::kCompleted);
  REQUIRE(pushed->newest_version == 1);
  pushed = h.Push(0, {0, 2});
  REQUIRE(pushed->outcome == PushOutcome::kDuplicate);
  REQUIRE(pushed->newest_version == 1);
  REQUIRE(PullNow(h.store(), 0, 1)->values[0] ==
          Approx(PullNow(h.store(), 0, 0)->values[0] - 0.1));
}

TEST_CASE("a pull of the next version waits for the completing push") {
  Harness h;
  Listener first, second, other_block;
  h.store().Pull(0, 1, first.Callback());
  h.store().Pull(0, 1, second.Callback());
  h.store().Pull(1, 1, other_block.Callback());
  REQUIRE_OK(h.Push(0, {0, 1}));
  REQUIRE_FALSE(first.answer.has_value());
  REQUIRE_OK(h.Push(0, {1, 2}));
  REQUIRE_OK(*first.answer);
  REQUIRE((*first.answer)->version == 1);
  REQUIRE((*first.answer)->block == 0);
  REQUIRE((*first.answer)->values.size() == 16);
  // Both refer to the same memory: nothing was copied.
  REQUIRE((*second.answer)->values.data() == (*first.answer)->values.data());
  REQUIRE_FALSE(other_block.answer.has_value());
}

TEST_CASE("the version before is held until a push for the newest step") {
  Harness h;
  REQUIRE_OK(PullNow(h.store(), 0, 0));
  h.Complete(0);
  REQUIRE_OK(PullNow(h.store(), 0, 0));
  REQUIRE_OK(PullNow(h.store(), 0, 1));
  // A repeat of the old step proves nothing about the new one.
  REQUIRE(h.Push(0, {0, 1})->outcome == PushOutcome::kDuplicate);
  REQUIRE_OK(PullNow(h.store(), 0, 0));
  REQUIRE_OK(h.Push(1, {0, 1}));
  REQUIRE_ERROR(PullNow(h.store(), 0, 0), absl::StatusCode::kOutOfRange,
                "version 0 of block 0", "no longer held", "newest is 1");
  REQUIRE_OK(h.Push(1, {1, 2}));
  REQUIRE_OK(PullNow(h.store(), 0, 1));
  REQUIRE_OK(PullNow(h.store(), 0, 2));
  // A push of everything lets go of one version and makes another.
  REQUIRE(h.Push(2, {0, 2})->outcome == PushOutcome::kCompleted);
  REQUIRE_ERROR(PullNow(h.store(), 0, 1), absl::StatusCode::kOutOfRange);
  REQUIRE_OK(PullNow(h.store(), 0, 2));
  REQUIRE(PullNow(h.store(), 0)->version == 3);
}

TEST_CASE("a version that was given stays as it is") {
  Harness h;
  const BlockVersion held = *PullNow(h.store(), 0);
  const std::vector<float> copy(held.values.begin(), held.values.end());
  for (int64_t step = 0; step < 5; ++step) h.Complete(step);
  REQUIRE(std::vector<float>(held.values.begin(), held.values.end()) == copy);
}

TEST_CASE("a version outlives its store") {
  const Job job = MakeTestJob({.parameters = 40});
  const auto device = *MakeDevice(kShardTestDevice);
  auto store = ShardStore::Create(job, MakeTestPlan(job, 1), 0, *device);
  REQUIRE_OK(store);
  const BlockVersion held = *PullNow(**store, 2);
  const std::vector<float> copy(held.values.begin(), held.values.end());
  store->reset();
  REQUIRE(std::vector<float>(held.values.begin(), held.values.end()) == copy);
}

TEST_CASE("pulls of what cannot be are refused") {
  Harness h;
  REQUIRE_ERROR(PullNow(h.store(), 3), absl::StatusCode::kInvalidArgument,
                "block 3", "shard 0", "[0, 3)");
  REQUIRE_ERROR(PullNow(h.store(), -1), absl::StatusCode::kInvalidArgument);
  REQUIRE_ERROR(PullNow(h.store(), 0, -2), absl::StatusCode::kInvalidArgument,
                "version -2");
  REQUIRE_ERROR(PullNow(h.store(), 0, 2), absl::StatusCode::kOutOfRange,
                "version 2 of block 0 cannot come next", "newest is 0");
}

TEST_CASE("Cancel ends one wait, and only a wait") {
  Harness h;
  Listener cancelled, waiting, answered;
  const uint64_t ticket = h.store().Pull(0, 1, cancelled.Callback());
  h.store().Pull(0, 1, waiting.Callback());
  const uint64_t done = h.store().Pull(0, 0, answered.Callback());
  h.store().Cancel(0, ticket);
  REQUIRE_ERROR(*cancelled.answer, absl::StatusCode::kCancelled, "block 0");
  h.store().Cancel(0, ticket);
  h.store().Cancel(0, done);
  h.store().Cancel(1, ticket);
  h.store().Cancel(77, ticket);
  REQUIRE_FALSE(waiting.answer.has_value());
  h.Complete(0);
  REQUIRE_OK(*waiting.answer);
  REQUIRE_OK(*answered.answer);
}

TEST_CASE("Shutdown ends every wait and refuses what comes later") {
  Harness h;
  std::vector<Listener> waits(3);
  for (int block = 0; block < 3; ++block) {
    h.store().Pull(block, 1, waits[static_cast<size_t>(block)].Callback());
  }
  const uint64_t before = h.store().StateHash();
  h.store().Shutdown();
  h.store().Shutdown();
  for (const Listener& wait : waits) {
    REQUIRE_ERROR(*wait.answer, absl::StatusCode::kUnavailable, "stopping");
  }
  REQUIRE_ERROR(h.Push(0, {0, 1}), absl::StatusCode::kUnavailable);
  REQUIRE_ERROR(PullNow(h.store(), 0), absl::StatusCode::kUnavailable);
  REQUIRE(h.store().StateHash() == before);
}

TEST_CASE("a callback may call the store again") {
  Harness h;
  std::optional<int64_t> next;
  h.store().Pull(0, 1, [&](Answer result) {
    REQUIRE_OK(result);
    h.store().Pull(0, ShardStore::kNewest,
                   [&](Answer newest) { next = newest->version; });
  });
  h.Complete(0);
  REQUIRE(next == 1);
}

TEST_CASE("the listener hears of a step once every block has done it") {
  Harness h;
  std::vector<std::pair<int64_t, double>> heard;
  h.store().SetStepListener([&](int64_t generation, int64_t step, double loss) {
    REQUIRE(generation == 0);
    heard.emplace_back(step, loss);
  });
  REQUIRE_OK(h.Push(0, {0, 1}, 0, 3));
  REQUIRE_OK(h.Push(0, {1, 2}, 0, 5));
  // Only block 0's loss counts.
  REQUIRE_OK(h.Push(0, {0, 2}, 1, 100));
  h.Complete(1, 0);
  REQUIRE(heard.empty());
  REQUIRE_OK(h.Push(0, {0, 2}, 2, 100));
  REQUIRE(heard == std::vector<std::pair<int64_t, double>>{{0, 4.0}});
}

TEST_CASE("the listener hears of a step before the last block is answered") {
  Harness h({.parameters = 16});
  std::vector<std::string> order;
  h.store().SetStepListener(
      [&](int64_t, int64_t, double) { order.push_back("listener"); });
  h.store().Pull(0, 1, [&](Answer) { order.push_back("answer"); });
  h.Complete(0);
  REQUIRE(order == std::vector<std::string>{"listener", "answer"});
}

TEST_CASE("counters say what is in use and who pushed") {
  Harness h({.parameters = 40, .optimizer = "adamw {}"});
  ShardStats stats = h.store().Stats();
  REQUIRE(stats.parameter_bytes == 160);
  REQUIRE(stats.older_version_bytes == 0);
  REQUIRE(stats.gradient_bytes == 160);
  REQUIRE(stats.extra_gradient_bytes == 0);
  REQUIRE(stats.optimizer_bytes == 320);
  REQUIRE(stats.traffic.empty());

  REQUIRE_OK(h.Push(0, {0, 1}, 2));
  REQUIRE_OK(h.Push(0, {0, 1}, 2));
  h.Complete(0, 0);
  stats = h.store().Stats();
  REQUIRE(stats.version_min == 0);
  REQUIRE(stats.version_max == 1);
  REQUIRE(stats.older_version_bytes == 64);
  REQUIRE(stats.gradient_bytes == 160);
  REQUIRE(stats.extra_gradient_bytes == 0);
  REQUIRE(stats.traffic.size() == 1);
  REQUIRE(stats.traffic[0].worker == WorkerId(1));
  REQUIRE(stats.traffic[0].pushes == 4);
  REQUIRE(stats.traffic[0].duplicates == 1);
  REQUIRE(stats.traffic[0].pushed_bytes == 32 + 32 + 64 + 64);
}

TEST_CASE("where pulls are float32, the payload is the values' memory") {
  Harness h;
  const BlockVersion block = *PullNow(h.store(), 2);
  REQUIRE(static_cast<const void*>(block.payload.data()) ==
          block.values.data());
  REQUIRE(block.payload.size() == 8 * sizeof(float));
}

TEST_CASE("where pulls are rounded, exact values are there as well") {
  Harness h({.parameters = 40, .wire = "pull: ENCODING_BFLOAT16"});
  Harness exact;
  const BlockVersion first = *PullNow(h.store(), 0, 0);
  const auto require = [](const BlockVersion& block) {
    std::vector<float> expanded(block.values.size());
    REQUIRE(block.payload.size() == expanded.size() * kBfloat16Bytes);
    ExpandBfloat16(FragmentedBytes(block.payload), expanded.data());
    for (size_t i = 0; i < expanded.size(); ++i) {
      REQUIRE(expanded[i] == FromBfloat16(ToBfloat16(block.values[i])));
    }
  };
  const std::vector<float> copy(first.values.begin(), first.values.end());
  require(first);
  for (int64_t step = 0; step < 3; ++step) {
    h.Complete(step);
    exact.Complete(step);
    const BlockVersion block = *PullNow(h.store(), 0);
    require(block);
    // Once for all who ask.
    REQUIRE(PullNow(h.store(), 0)->payload.data() == block.payload.data());
    // The server goes on from exact values.
    REQUIRE(block.values == PullNow(exact.store(), 0)->values);
  }
  // Both views stay for as long as the version is held.
  REQUIRE(std::vector<float>(first.values.begin(), first.values.end()) == copy);
  require(first);
}

TEST_CASE("counters tell rounded versions apart from exact ones") {
  Harness h({.parameters = 40, .wire = "pull: ENCODING_BFLOAT16"});
  REQUIRE(h.store().Stats().parameter_bytes == 160);
  REQUIRE(h.store().Stats().encoded_bytes == 80);
  REQUIRE(h.store().Stats().older_version_bytes == 0);
  h.Complete(0);
  // Of block 0, in both encodings.
  REQUIRE(h.store().Stats().older_version_bytes == 64 + 32);
  REQUIRE(Harness().store().Stats().encoded_bytes == 0);
}

TEST_CASE("a shard owns its share of everything") {
  Harness h({.parameters = 48, .optimizer = "sgd { momentum: 0.9 }"}, 3);
  for (int shard = 0; shard < 3; ++shard) {
    const ShardStats stats = h.shards.store(shard).Stats();
    REQUIRE(stats.parameter_bytes == 64);
    REQUIRE(stats.optimizer_bytes == 64);
  }
  REQUIRE_ERROR(PullNow(h.shards.store(1), 0),
                absl::StatusCode::kInvalidArgument, "block 0", "shard 1");
}

TEST_CASE("a store is not made for a plan that is another job's") {
  const Job job = MakeTestJob({.parameters = 40});
  const Job other = MakeTestJob({.parameters = 41});
  const auto device = *MakeDevice(kShardTestDevice);
  REQUIRE_ERROR(ShardStore::Create(job, MakeTestPlan(other, 1), 0, *device),
                absl::StatusCode::kInvalidArgument, "41", "40");
  REQUIRE_ERROR(ShardStore::Create(job, MakeTestPlan(job, 2), 2, *device),
                absl::StatusCode::kInvalidArgument, "shard 2");
  REQUIRE_ERROR(ShardStore::Create(job, MakeTestPlan(job, 2), -1, *device),
                absl::StatusCode::kInvalidArgument, "shard -1");
}

}  // namespace
}  // namespace tessera
