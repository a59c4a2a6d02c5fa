// Keeping one version of a whole shard while training goes on.

#include <catch2/catch.hpp>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "common/base/mutex.h"
#include "server/shard/shard_store.h"
#include "tests/support/status.h"
#include "tests/support/test_job.h"
#include "tests/unit/shard/test_shards.h"

namespace tessera {
namespace {

constexpr int kParameters = 40;
using Taken = absl::StatusOr<std::shared_ptr<ShardSnapshot>>;

Job TestJob() {
  return MakeTestJob({.parameters = kParameters,
                      .microbatches = 2,
                      .optimizer = "sgd { momentum: 0.5 }"});
}

struct Harness {
  void PushStep(int64_t step) {
    const ReductionTree& tree = shards.job().tree();
    shards.PushAll(step, tree.root(),
                   TreeSum(tree, step, tree.root(), kParameters));
  }
  void PushBlock(int64_t step, int block) {
    const ReductionTree& tree = shards.job().tree();
    REQUIRE_OK(shards.Push(block, step, tree.root(),
                           TreeSum(tree, step, tree.root(), kParameters)));
  }
  absl::Status Capture(int64_t version) {
    taken.reset();
    return store().Capture(0, version, [this](Taken result) {
      REQUIRE_FALSE(taken.has_value());
      taken = std::move(result);
    });
  }
  ShardStore& store() { return shards.store(0); }

  Job job = TestJob();
  TestShards shards{job, MakeTestPlan(job, 1)};
  std::optional<Taken> taken;
};

std::vector<float> Read(ShardSnapshot& snapshot, int section) {
  std::vector<float> values(kParameters);
  REQUIRE_OK(snapshot.Read(section, {0, kParameters}, absl::MakeSpan(values)));
  return values;
}

TEST_CASE("a version that the shard is at is there at once") {
  Harness h;
  h.PushStep(0);
  const std::vector<float> at_1 = h.shards.Parameters();
  REQUIRE_OK(h.Capture(1));
  REQUIRE(h.taken.has_value());
  ShardSnapshot& snapshot = ***h.taken;
  h.PushStep(1);
  h.PushStep(2);
  REQUIRE(Read(snapshot, 0) == at_1);
  // Momentum after one step is the gradient's mean.
  const auto sum = TreeSum(h.job.tree(), 0, {0, 2}, kParameters);
  const std::vector<float> velocity = Read(snapshot, 1);
  for (size_t i = 0; i < velocity.size(); ++i) {
    REQUIRE(velocity[i] == sum[i] / 2);
  }
}

TEST_CASE("a version to come is taken as blocks come to it, each by itself") {
  Harness h;
  REQUIRE_OK(h.Capture(2));
  h.PushStep(0);
  h.PushBlock(1, 0);
  h.PushBlock(2, 0);
  h.PushBlock(1, 1);
  REQUIRE_FALSE(h.taken.has_value());
  h.PushBlock(1, 2);
  REQUIRE(h.taken.has_value());
  Harness expected;
  expected.PushStep(0);
  expected.PushStep(1);
  REQUIRE(Read(***h.taken, 0) == expected.shards.Parameters());
}

TEST_CASE("parts are read across blocks, and let go from the front") {
  Harness h;
  REQUIRE_OK(h.Capture(0));
  ShardSnapshot& snapshot = ***h.taken;
  const std::vector<float> all = Read(snapshot, 0);
  std::vector<float> part(20);
  REQUIRE_OK(snapshot.Read(0, {10, 30}, absl::MakeSpan(part)));
  REQUIRE(part == std::vector<float>(all.begin() + 10, all.begin() + 30));
  snapshot.Release(15);
  REQUIRE_OK(snapshot.Read(0, {0, 5}, absl::MakeSpan(part).first(5)));
  h.PushStep(0);
  h.PushStep(1);
  const int64_t held = h.store().Stats().older_version_bytes;
  snapshot.Release(40);
  REQUIRE(h.store().Stats().older_version_bytes < held);
}

TEST_CASE("a version that a block is beyond is refused") {
  Harness h;
  h.PushBlock(0, 1);
  REQUIRE_ERROR(h.Capture(0), absl::StatusCode::kOutOfRange, "block 1",
                "version 0");
  REQUIRE_FALSE(h.taken.has_value());
  // And forgotten on the others.
  h.PushBlock(0, 0);
  h.PushBlock(0, 2);
  REQUIRE_OK(h.Capture(1));
  REQUIRE_OK(h.taken.value());
}

TEST_CASE("a capture ends once, with why") {
  Harness h;
  const auto end = GENERATE(0, 1, 2, 3, 4);
  CAPTURE(end);
  REQUIRE_OK(h.Capture(1));
  h.PushBlock(0, 0);
  std::optional<Taken> other;
  switch (end) {
    case 0:
      h.store().DropCapture();
      break;
    case 1:
      h.store().Suspend();
      break;
    case 2:
      REQUIRE_OK(h.store().Restore(1, 0, nullptr));
      break;
    case 3:
      REQUIRE_OK(h.store().Capture(
          0, 2, [&](Taken result) { other = std::move(result); }));
      break;
    case 4:
      h.store().Shutdown();
      break;
  }
  REQUIRE(h.taken.has_value());
  REQUIRE(absl::IsAborted(h.taken->status()));
  if (end != 0 && end != 3) return;
  h.PushBlock(0, 1);
  h.PushBlock(0, 2);
  h.PushStep(1);
  REQUIRE(other.has_value() == (end == 3));
}

TEST_CASE("of another generation nothing is kept") {
  Harness h;
  REQUIRE_OK(h.store().Restore(2, 0, nullptr));
  const auto capture = [&](int64_t generation) {
    return h.store().Capture(generation, 0, [](Taken) {});
  };
  REQUIRE_ERROR(capture(1), absl::StatusCode::kAborted, "generation 1");
  REQUIRE_ERROR(capture(3), absl::StatusCode::kUnavailable, "generation 3");
  REQUIRE_OK(capture(2));
}

TEST_CASE("captures and restores race with pushes and lose nothing") {
  Harness h;
  Harness expected;
  constexpr int64_t kSteps = 300;
  std::vector<std::vector<float>> versions = {expected.shards.Parameters()};
  for (int64_t step = 0; step < kSteps; ++step) {
    expected.PushStep(step);
    versions.push_back(expected.shards.Parameters());
  }
  const ReductionTree& tree = h.job.tree();
  std::thread pusher([&] {
    for (int64_t step = 0; step < kSteps; ++step) {
      const auto sum = TreeSum(tree, step, tree.root(), kParameters);
      for (int block = 0; block < 3; ++block) {
        // Refused once the shard has gone back: too early.
        h.shards.Push(block, step, tree.root(), sum).IgnoreError();
      }
    }
  });
  Mutex mutex;
  std::vector<std::shared_ptr<ShardSnapshot>> kept;
  for (int i = 0; i < 200; ++i) {
    const int64_t ahead = h.store().Stats().version_max + i % 3;
    (void)h.store().Capture(h.store().generation(), ahead, [&](Taken result) {
      if (!result.ok()) return;
      MutexLock lock(&mutex);
      kept.push_back(*std::move(result));
    });
    if (i == 190) REQUIRE_OK(h.store().Restore(1, 0, nullptr));
  }
  pusher.join();
  h.store().DropCapture();
  REQUIRE_FALSE(kept.empty());
  for (const auto& snapshot : kept) {
    REQUIRE(Read(*snapshot, 0) ==
            versions[static_cast<size_t>(snapshot->version())]);
  }
}

}  // namespace
}  // namespace tessera
