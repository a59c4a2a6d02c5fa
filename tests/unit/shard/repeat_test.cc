// Repeats of a key, told from contradictions by their bytes.

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "server/shard/shard_store.h"
#include "tests/support/status.h"
#include "tests/support/test_job.h"
#include "tests/unit/shard/recovery_shards.h"
#include "tests/unit/shard/test_shards.h"

namespace tessera {
namespace {

constexpr auto kExists = absl::StatusCode::kAlreadyExists;

// One shard of three blocks, of which the tests push to the first.
struct Harness {
  ShardStore& store() { return shards.store(0); }

  Job job = MakeTestJob({.parameters = 40, .microbatches = 2});
  TestShards shards{job, MakeTestPlan(job, 1)};
};

TEST_CASE("the same key with other bytes is refused and names both senders") {
  Harness h;
  ShardStore& store = h.store();
  REQUIRE_OK(
      Push(h.shards, {.step = 0, .value = 1, .range = {0, 1}, .worker = 7}));
  const uint64_t before = store.StateHash();
  REQUIRE_ERROR(
      Push(h.shards, {.step = 0, .value = 2, .range = {0, 1}, .worker = 8}),
      kExists, "worker 7", "worker 8", "step 0", "[0, 1)", "block 0");
  REQUIRE(store.StateHash() == before);
  REQUIRE(Push(h.shards, {.step = 0, .value = 1, .range = {0, 1}, .worker = 8})
              ->outcome == PushOutcome::kDuplicate);
  // Also once the step is complete, and by whoever completed it.
  REQUIRE(Push(h.shards, {.step = 0, .value = 3, .range = {1, 2}, .worker = 9})
              ->outcome == PushOutcome::kCompleted);
  REQUIRE_ERROR(
      Push(h.shards, {.step = 0, .value = 2, .range = {0, 1}, .worker = 8}),
      kExists, "worker 7");
  REQUIRE_ERROR(
      Push(h.shards, {.step = 0, .value = 1, .range = {1, 2}, .worker = 8}),
      kExists, "worker 9");
  REQUIRE(Push(h.shards, {.step = 0, .value = 3, .range = {1, 2}, .worker = 8})
              ->outcome == PushOutcome::kDuplicate);
  // Of a range inside a larger one nothing is known.
  REQUIRE_OK(
      Push(h.shards, {.step = 1, .value = 1, .range = {0, 2}, .worker = 7}));
  REQUIRE(Push(h.shards, {.step = 1, .value = 5, .range = {0, 1}, .worker = 8})
              ->outcome == PushOutcome::kDuplicate);
  // Nor of steps that are long over, or that the shard went back behind.
  REQUIRE(Push(h.shards, {.step = 0, .value = 9, .range = {0, 1}, .worker = 8})
              ->outcome == PushOutcome::kDuplicate);
  REQUIRE_OK(store.Restore(1, 0, nullptr));
  REQUIRE(Push(h.shards, {.generation = 1,
                          .step = 0,
                          .value = 2,
                          .range = {0, 1},
                          .worker = 8})
              ->outcome == PushOutcome::kAdded);
}

TEST_CASE("a step's bytes are not compared with another step's") {
  Harness h;
  for (int64_t step = 0; step < 5; ++step) {
    CAPTURE(step);
    const auto value = static_cast<float>(step);
    for (const MicrobatchRange& range : {MicrobatchRange{0, 1}, {1, 2}}) {
      REQUIRE_OK(
          Push(h.shards, {.step = step, .value = value, .range = range}));
      REQUIRE(Push(h.shards, {.step = step, .value = value, .range = range})
                  ->outcome == PushOutcome::kDuplicate);
      REQUIRE_ERROR(
          Push(h.shards, {.step = step, .value = value + 1, .range = range}),
          kExists);
    }
  }
}

TEST_CASE("nothing is compared with what came before a restore") {
  Harness h;
  Train(h.shards, 0, 1);
  const Sections at_1 = CaptureAll(h.shards, 0, 1, 1);
  REQUIRE_OK(Push(h.shards, {.step = 1, .value = 5}));
  RestoreAll(h.shards, 1, 1, From(at_1));
  // The step before was counted, but who knows how.
  REQUIRE(Push(h.shards, {.step = 0, .value = 6, .range = {0, 2}})->outcome ==
          PushOutcome::kDuplicate);
  REQUIRE(Push(h.shards, {.step = 1, .value = 6})->outcome ==
          PushOutcome::kAdded);
  REQUIRE(Push(h.shards, {.step = 1, .value = 6})->outcome ==
          PushOutcome::kDuplicate);
  REQUIRE_ERROR(Push(h.shards, {.step = 1, .value = 5}), kExists);
}

TEST_CASE("bytes are compared to the last bit, wherever they are cut") {
  Harness h;
  std::mt19937_64 random(1);
  const std::vector<float> gradient = TestGradient(0, 0, 16);
  const auto push = [&](const std::vector<float>& values) {
    const CutBytes cut(values, random);
    return h.store().Push(
        {.block = 1, .step = 0, .range = {1, 2}, .worker = WorkerId(3)},
        cut.bytes());
  };
  REQUIRE_OK(push(gradient));
  for (size_t i = 0; i < gradient.size(); ++i) {
    REQUIRE(push(gradient)->outcome == PushOutcome::kDuplicate);
    std::vector<float> other = gradient;
    other[i] = std::nextafter(other[i], 100.0f);
    REQUIRE_ERROR(push(other), kExists, "block 1");
  }
}

TEST_CASE("a push that was refused is not compared with") {
  Harness h;
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  constexpr float kLargest = std::numeric_limits<float>::max();
  REQUIRE_ERROR(Push(h.shards, {.value = kNan}),
                absl::StatusCode::kInvalidArgument);
  REQUIRE_ERROR(Push(h.shards, {.generation = 1, .value = 5}),
                absl::StatusCode::kUnavailable);
  REQUIRE_ERROR(Push(h.shards, {.step = 1, .value = 5}),
                absl::StatusCode::kOutOfRange);
  REQUIRE(Push(h.shards, {.value = kLargest})->outcome == PushOutcome::kAdded);
  // It would complete the step, but for its sum.
  REQUIRE_ERROR(Push(h.shards, {.value = kLargest, .range = {1, 2}}),
                absl::StatusCode::kInvalidArgument, "too large");
  REQUIRE(Push(h.shards, {.value = 1, .range = {1, 2}})->outcome ==
          PushOutcome::kCompleted);
  REQUIRE_ERROR(Push(h.shards, {.value = kLargest, .range = {1, 2}}), kExists);
}

}  // namespace
}  // namespace tessera
