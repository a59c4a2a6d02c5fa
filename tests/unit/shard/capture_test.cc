// Keeping one version of a whole shard while training goes on.

#include <catch2/catch.hpp>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/shard/shard_store.h"
#include "tests/support/status.h"
#include "tests/support/test_job.h"
#include "tests/unit/shard/test_shards.h"

namespace tessera {
namespace {

constexpr int kParameters = 40;
using Taken = absl::StatusOr<std::shared_ptr<ShardSnapshot>>;

struct Harness {
  explicit Harness(const std::string& optimizer = "sgd { momentum: 0.5 }")
      : job(MakeTestJob({.parameters = kParameters,
                         .microbatches = 2,
                         .optimizer = optimizer})),
        shards(job, MakeTestPlan(job, 1)) {}

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

  Job job;
  TestShards shards;
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

TEST_CASE("a capture that is refused ends the one before") {
  Harness h;
  h.PushStep(0);
  REQUIRE_OK(h.Capture(2));
  REQUIRE_ERROR(h.store().Capture(0, 0, [](Taken) { FAIL("called"); }),
                absl::StatusCode::kOutOfRange);
  REQUIRE(absl::IsAborted(h.taken.value().status()));
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
  REQUIRE_ERROR(capture(3), absl::StatusCode::kAborted, "generation 3");
  REQUIRE_ERROR(capture(0), absl::StatusCode::kAborted, "generation 0");
  REQUIRE_OK(capture(2));
}

TEST_CASE("what is captured is the undisturbed shard at that version") {
  const std::string optimizer =
      GENERATE("sgd {}", "sgd { momentum: 0.5 }", "adamw {}");
  const int64_t version = GENERATE(0, 1, 4);
  Harness ahead(optimizer);
  REQUIRE_OK(ahead.Capture(version));
  for (int64_t step = 0; step < 6; ++step) ahead.PushStep(step);
  REQUIRE_OK(*ahead.taken);
  ShardSnapshot& snapshot = ***ahead.taken;

  Harness restored(optimizer);
  REQUIRE_OK(restored.store().Restore(
      1, version, [&](int section, int64_t first, absl::Span<float> values) {
        const auto end = first + static_cast<int64_t>(values.size());
        return snapshot.Read(section, {first, end}, values);
      }));
  Harness undisturbed(optimizer);
  for (int64_t step = 0; step < version; ++step) undisturbed.PushStep(step);
  // The version before the newest, which was not captured, is let go with it.
  for (Harness* h : {&restored, &undisturbed}) {
    h->shards.PushAll(version, {0, 1}, TestGradient(version, 0, kParameters));
  }
  REQUIRE(restored.store().StateHash() == undisturbed.store().StateHash());
}

TEST_CASE("a capture is done before its pushes are answered") {
  Harness h;
  REQUIRE_OK(h.Capture(1));
  h.PushBlock(0, 0);
  h.PushBlock(0, 1);
  bool was_taken = false;
  h.store().Pull(2, 1, [&](auto) { was_taken = h.taken.has_value(); });
  h.PushBlock(0, 2);
  REQUIRE(was_taken);
}

TEST_CASE("a capture's end may ask for the next") {
  Harness h;
  std::optional<Taken> next;
  REQUIRE_OK(h.store().Capture(0, 1, [&](Taken) {
    REQUIRE_OK(h.store().Capture(
        0, 2, [&](Taken result) { next = std::move(result); }));
  }));
  h.PushStep(0);
  REQUIRE_FALSE(next.has_value());
  h.PushStep(1);
  REQUIRE((**next)->version() == 2);
}

}  // namespace
}  // namespace tessera
