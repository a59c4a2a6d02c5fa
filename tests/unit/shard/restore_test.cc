// Going back to an earlier version, or to one that was reached elsewhere.

#include <catch2/catch.hpp>
#include <string>
#include <utility>
#include <vector>

#include "server/shard/shard_store.h"
#include "tests/support/status.h"
#include "tests/support/test_job.h"
#include "tests/unit/shard/recovery_shards.h"
#include "tests/unit/shard/test_shards.h"

namespace tessera {
namespace {

constexpr int kParameters = 40;

Job TestJob(const std::string& optimizer, int64_t block_bytes = 64) {
  return MakeTestJob({.parameters = kParameters,
                      .microbatches = 2,
                      .block_bytes = block_bytes,
                      .optimizer = optimizer});
}

TEST_CASE("training goes on from what was restored as if nothing had been") {
  const auto [optimizer, sections] =
      GENERATE(std::pair("sgd {}", 1), std::pair("sgd { momentum: 0.5 }", 2),
               std::pair("adamw {}", 3));
  const Job job = TestJob(optimizer);
  TestShards expected(job, MakeTestPlan(job, 1));
  Train(expected, 0, 3);
  const Sections saved = CaptureAll(expected, 0, 3, sections);
  Train(expected, 3, 8);

  // Onto other numbers of shards and sizes of blocks, of which some were
  // somewhere else before.
  for (const auto& [shard_count, block_bytes] :
       {std::pair(1, 64), std::pair(2, 64), std::pair(3, 64),
        std::pair(2, 128)}) {
    for (const int64_t steps_before : {0, 2, 5}) {
      CAPTURE(optimizer, shard_count, block_bytes, steps_before);
      const Job other = TestJob(optimizer, block_bytes);
      TestShards shards(other, MakeTestPlan(other, shard_count));
      Train(shards, 0, steps_before);
      RestoreAll(shards, 4, 3, From(saved));
      REQUIRE(shards.store(0).generation() == 4);
      REQUIRE(shards.store(0).Stats().version_min == 3);
      REQUIRE(shards.store(0).Stats().version_max == 3);
      REQUIRE(CaptureAll(shards, 4, 3, sections) == saved);
      Train(shards, 3, 8);
      REQUIRE(CaptureAll(shards, 4, 8, sections) ==
              CaptureAll(expected, 0, 8, sections));
      if (shard_count == 1) {
        REQUIRE(shards.StateHashes() == expected.StateHashes());
      }
    }
  }
}

TEST_CASE("what is restored is rounded for pulls that want that") {
  const Job job = MakeTestJob(
      {.parameters = kParameters, .wire = "pull: ENCODING_BFLOAT16"});
  TestShards shards(job, MakeTestPlan(job, 1));
  Train(shards, 0, 2);
  const Sections saved = CaptureAll(shards, 0, 2, 1);
  const BlockVersion before = *PullNow(shards.store(0), 1);
  Train(shards, 2, 4);
  RestoreAll(shards, 1, 2, From(saved));
  const BlockVersion after = *PullNow(shards.store(0), 1);
  REQUIRE(after.version == 2);
  REQUIRE(after.payload == before.payload);
  REQUIRE(after.values == before.values);
}

TEST_CASE("without a source it is the initial parameters") {
  const Job job = TestJob("sgd { momentum: 0.5 }");
  TestShards expected(job, MakeTestPlan(job, 2));
  TestShards shards(job, MakeTestPlan(job, 2));
  const std::vector<float> initial = shards.Parameters();
  RestoreAll(shards, 1, 0, nullptr);
  REQUIRE(shards.Parameters() == initial);
  Train(shards, 0, 3);
  RestoreAll(shards, 2, 0, nullptr);
  REQUIRE(shards.Parameters() == initial);
  Train(shards, 0, 3);
  Train(expected, 0, 3);
  REQUIRE(shards.Parameters() == expected.Parameters());
}

TEST_CASE("a fresh shard starts its first generation as it is") {
  const Job job = TestJob("adamw {}");
  TestShards shards(job, MakeTestPlan(job, 1));
  const BlockVersion before = *PullNow(shards.store(0), 1);
  // A push that went no further leaves the parameters as they are.
  REQUIRE_OK(Push(shards, {.step = 0}));
  RestoreAll(shards, 1, 0, nullptr);
  REQUIRE(PullNow(shards.store(0), 1)->values.data() == before.values.data());
  // But version 0 may have come from elsewhere.
  const Sections other(3, std::vector<float>(kParameters, 5));
  RestoreAll(shards, 2, 0, From(other));
  REQUIRE(shards.Parameters() == other[0]);
  RestoreAll(shards, 3, 0, nullptr);
  REQUIRE(PullNow(shards.store(0), 1)->values == before.values);
  const Sections zeros = {shards.Parameters(), std::vector<float>(kParameters),
                          std::vector<float>(kParameters)};
  REQUIRE(CaptureAll(shards, 3, 0, 3) == zeros);
}

TEST_CASE("initial parameters that were given are gone back to") {
  const Job job = TestJob("sgd {}");
  const std::vector<float> given(kParameters, 0.25f);
  TestShards shards(job, MakeTestPlan(job, 1), given);
  Train(shards, 0, 2);
  REQUIRE(shards.Parameters() != given);
  RestoreAll(shards, 1, 0, nullptr);
  REQUIRE(shards.Parameters() == given);
}

TEST_CASE("a restore that fails half way leaves the shard suspended") {
  const Job job = TestJob("sgd { momentum: 0.5 }");
  TestShards shards(job, MakeTestPlan(job, 1));
  Train(shards, 0, 2);
  const Sections saved = CaptureAll(shards, 0, 2, 2);
  const std::vector<float> at_2 = shards.Parameters();
  ShardStore& store = shards.store(0);
  for (int good_reads = 0; good_reads < 6; ++good_reads) {
    CAPTURE(good_reads);
    int reads = 0;
    const auto failing = [&](int section, int64_t first,
                             absl::Span<float> values) {
      if (reads++ == good_reads) return absl::DataLossError("a bad sector");
      return From(saved)(section, first, values);
    };
    REQUIRE_ERROR(store.Restore(1 + good_reads, 2, failing),
                  absl::StatusCode::kDataLoss, "bad sector");
    REQUIRE_ERROR(PullNow(store, 0), absl::StatusCode::kUnavailable, "loading");
    REQUIRE_ERROR(PullNow(store, 2), absl::StatusCode::kUnavailable, "loading");
    REQUIRE(store.Stats().older_version_bytes >= 0);
    REQUIRE(store.generation() == 0);
    // What is left can be looked at.
    shards.StateHashes();
  }
  // The generation that could not begin may be tried again.
  REQUIRE_OK(store.Restore(6, 2, From(saved)));
  REQUIRE(shards.Parameters() == at_2);
}

TEST_CASE("generations and versions that cannot be are refused") {
  const Job job = TestJob("sgd {}");
  TestShards shards(job, MakeTestPlan(job, 1));
  ShardStore& store = shards.store(0);
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  REQUIRE_ERROR(store.Restore(0, 0, nullptr), kInvalid, "generation 0");
  REQUIRE_OK(store.Restore(2, 0, nullptr));
  REQUIRE_ERROR(store.Restore(2, 0, nullptr), kInvalid, "generation 2");
  REQUIRE_ERROR(store.Restore(1, 0, nullptr), kInvalid, "generation 1");
  REQUIRE_ERROR(store.Restore(3, 5, nullptr), kInvalid, "version 5");
  REQUIRE_ERROR(store.Restore(3, -1, nullptr), kInvalid, "version -1");
  // They changed nothing.
  REQUIRE_OK(Push(shards, {.generation = 2}));
  store.Shutdown();
  REQUIRE_ERROR(store.Restore(3, 0, nullptr), absl::StatusCode::kUnavailable,
                "stopping");
  REQUIRE_ERROR(PullNow(store, 0), absl::StatusCode::kUnavailable, "stopping");
}

TEST_CASE("versions that were lent stay as they are when the shard goes back") {
  const Job job = TestJob("sgd {}");
  TestShards shards(job, MakeTestPlan(job, 1));
  Train(shards, 0, 2);
  const auto lent = PullNow(shards.store(0), 0);
  REQUIRE_OK(lent);
  const std::vector<float> before(lent->values.begin(), lent->values.end());
  RestoreAll(shards, 1, 0, nullptr);
  Train(shards, 0, 4);
  REQUIRE(std::vector<float>(lent->values.begin(), lent->values.end()) ==
          before);
}

TEST_CASE("the listener hears of steps that come again, by generation") {
  const Job job = TestJob("sgd {}");
  TestShards shards(job, MakeTestPlan(job, 1));
  std::vector<std::pair<int64_t, int64_t>> heard;
  shards.store(0).SetStepListener(
      [&](int64_t generation, int64_t step, double) {
        heard.emplace_back(generation, step);
      });
  RestoreAll(shards, 1, 0, nullptr);
  Train(shards, 0, 2);
  // Step 2 on one block only: forgotten.
  REQUIRE_OK(Push(shards, {.generation = 1, .step = 2, .range = {0, 2}}));
  RestoreAll(shards, 2, 0, nullptr);
  Train(shards, 0, 1);
  REQUIRE(heard ==
          std::vector<std::pair<int64_t, int64_t>>{{1, 0}, {1, 1}, {2, 0}});
}

}  // namespace
}  // namespace tessera
