// Generations, and going back to an earlier version.

#include <algorithm>
#include <catch2/catch.hpp>
#include <optional>
#include <string>
#include <vector>

#include "server/shard/shard_store.h"
#include "tests/support/status.h"
#include "tests/support/test_job.h"
#include "tests/unit/shard/test_shards.h"

namespace tessera {
namespace {

constexpr int kParameters = 40;

Job TestJob(const std::string& optimizer) {
  return MakeTestJob(
      {.parameters = kParameters, .microbatches = 2, .optimizer = optimizer});
}

// Takes steps [from, to) in one push each.
void Train(TestShards& shards, int64_t from, int64_t to) {
  const ReductionTree& tree = shards.job().tree();
  for (int64_t step = from; step < to; ++step) {
    shards.PushAll(step, tree.root(),
                   TreeSum(tree, step, tree.root(), kParameters));
  }
}

// What every section of the whole flat vector holds, by way of captures.
using Sections = std::vector<std::vector<float>>;

Sections Capture(TestShards& shards, int64_t generation, int64_t version,
                 int sections) {
  Sections all(static_cast<size_t>(sections), std::vector<float>(kParameters));
  for (int shard = 0; shard < shards.plan().shard_count(); ++shard) {
    std::shared_ptr<ShardSnapshot> snapshot;
    REQUIRE_OK(shards.store(shard).Capture(
        generation, version, [&](auto taken) { snapshot = *taken; }));
    REQUIRE(snapshot != nullptr);
    REQUIRE(snapshot->version() == version);
    const Interval owned = snapshot->elements();
    for (int section = 0; section < sections; ++section) {
      auto& out = all[static_cast<size_t>(section)];
      REQUIRE_OK(snapshot->Read(
          section, owned,
          absl::MakeSpan(out).subspan(static_cast<size_t>(owned.begin),
                                      static_cast<size_t>(owned.size()))));
    }
  }
  return all;
}

ShardStore::SectionSource From(const Sections& sections) {
  return [&sections](int section, int64_t first, absl::Span<float> values) {
    const auto& from = sections.at(static_cast<size_t>(section));
    std::copy_n(from.begin() + first, values.size(), values.begin());
    return absl::OkStatus();
  };
}

void RestoreAll(TestShards& shards, int64_t generation, int64_t version,
                const ShardStore::SectionSource& source) {
  for (int shard = 0; shard < shards.plan().shard_count(); ++shard) {
    REQUIRE_OK(shards.store(shard).Restore(generation, version, source));
  }
}

absl::StatusOr<PushResult> PushIn(TestShards& shards, int64_t generation,
                                  int64_t step, float value = 1,
                                  MicrobatchRange range = {0, 1},
                                  uint64_t worker = 1) {
  const std::vector<float> gradient(16, value);
  return shards.store(0).Push({.block = 0,
                               .step = step,
                               .range = range,
                               .worker = WorkerId(worker),
                               .generation = generation},
                              FragmentedBytes::OfFloats(gradient));
}

TEST_CASE("training goes on from what was restored as if nothing had been") {
  const auto [optimizer, sections] =
      GENERATE(std::pair("sgd {}", 1), std::pair("sgd { momentum: 0.5 }", 2),
               std::pair("adamw {}", 3));
  const Job job = TestJob(optimizer);
  TestShards expected(job, MakeTestPlan(job, 1));
  Train(expected, 0, 3);
  const Sections saved = Capture(expected, 0, 3, sections);
  Train(expected, 3, 8);

  // Onto other numbers of shards, which were somewhere else before.
  for (int shards_count : {1, 2, 3}) {
    CAPTURE(optimizer, shards_count);
    TestShards shards(job, MakeTestPlan(job, shards_count));
    Train(shards, 0, 5);
    RestoreAll(shards, 4, 3, From(saved));
    REQUIRE(shards.store(0).generation() == 4);
    REQUIRE(shards.store(0).Stats().version_max == 3);
    Train(shards, 3, 8);
    REQUIRE(shards.Parameters() == expected.Parameters());
    REQUIRE(Capture(shards, 4, 8, sections) ==
            Capture(expected, 0, 8, sections));
  }
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

TEST_CASE("only the generation that is served may push and pull") {
  TestShards shards(TestJob("sgd {}"), MakeTestPlan(TestJob("sgd {}"), 1));
  ShardStore& store = shards.store(0);
  REQUIRE(store.generation() == 0);
  REQUIRE_ERROR(PushIn(shards, 1, 0), absl::StatusCode::kUnavailable,
                "generation 1");
  REQUIRE_OK(store.Restore(3, 0, nullptr));
  const uint64_t before = store.StateHash();
  REQUIRE_ERROR(PushIn(shards, 2, 0), absl::StatusCode::kAborted,
                "generation 2", "over");
  REQUIRE_ERROR(PushIn(shards, 4, 0), absl::StatusCode::kUnavailable,
                "generation 4");
  REQUIRE(store.StateHash() == before);
  const auto pull = [&](int64_t generation) {
    absl::Status status;
    store.Pull(
        0, 0, [&](auto answer) { status = answer.status(); }, generation);
    return status;
  };
  REQUIRE_OK(pull(3));
  REQUIRE_OK(pull(0));
  REQUIRE_ERROR(pull(2), absl::StatusCode::kAborted, "generation 2");
  REQUIRE_ERROR(pull(9), absl::StatusCode::kUnavailable, "generation 9");
  REQUIRE_OK(PushIn(shards, 3, 0));
  // Clients that know of no generations.
  REQUIRE_OK(PushIn(shards, 0, 0, 1, {1, 2}));
}

TEST_CASE("waits end when the shard goes back, and partial sums are gone") {
  TestShards shards(TestJob("sgd {}"), MakeTestPlan(TestJob("sgd {}"), 1));
  ShardStore& store = shards.store(0);
  REQUIRE_OK(store.Restore(1, 0, nullptr));
  const uint64_t fresh = store.StateHash();
  REQUIRE_OK(PushIn(shards, 1, 0));
  REQUIRE(store.StateHash() != fresh);
  std::optional<absl::Status> of_worker;
  std::optional<absl::Status> of_tool;
  store.Pull(
      0, 1, [&](auto answer) { of_worker = answer.status(); }, 1);
  store.Pull(0, 1, [&](auto answer) { of_tool = answer.status(); });
  REQUIRE_FALSE(of_worker.has_value());
  REQUIRE_OK(store.Restore(2, 0, nullptr));
  REQUIRE(of_worker.has_value());
  REQUIRE_ERROR(*of_worker, absl::StatusCode::kAborted, "generation 1");
  // It may ask again.
  REQUIRE_ERROR(*of_tool, absl::StatusCode::kUnavailable, "loading");
  REQUIRE(store.StateHash() == fresh);
}

TEST_CASE("a suspended shard refuses everything until it is restored") {
  TestShards shards(TestJob("sgd {}"), MakeTestPlan(TestJob("sgd {}"), 1));
  ShardStore& store = shards.store(0);
  store.Suspend();
  REQUIRE_ERROR(PushIn(shards, 0, 0), absl::StatusCode::kUnavailable,
                "loading");
  REQUIRE_ERROR(PullNow(store, 0), absl::StatusCode::kUnavailable, "loading");
  REQUIRE_ERROR(store.Capture(0, 0, [](auto) { FAIL("called"); }),
                absl::StatusCode::kUnavailable, "loading");
  REQUIRE_OK(store.Restore(1, 0, nullptr));
  REQUIRE_OK(PullNow(store, 0));
}

TEST_CASE("a restore that fails half way leaves the shard suspended") {
  const Job job = TestJob("sgd { momentum: 0.5 }");
  TestShards shards(job, MakeTestPlan(job, 1));
  Train(shards, 0, 2);
  const Sections saved = Capture(shards, 0, 2, 2);
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
  }
  REQUIRE_OK(store.Restore(10, 2, From(saved)));
  REQUIRE(shards.Parameters() == at_2);
}

TEST_CASE("generations and versions that cannot be are refused") {
  TestShards shards(TestJob("sgd {}"), MakeTestPlan(TestJob("sgd {}"), 1));
  ShardStore& store = shards.store(0);
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  REQUIRE_OK(store.Restore(2, 0, nullptr));
  REQUIRE_ERROR(store.Restore(2, 0, nullptr), kInvalid, "generation 2");
  REQUIRE_ERROR(store.Restore(1, 0, nullptr), kInvalid, "generation 1");
  REQUIRE_ERROR(store.Restore(3, 5, nullptr), kInvalid, "version 5");
  REQUIRE_ERROR(store.Restore(3, -1, nullptr), kInvalid, "version -1");
  // They changed nothing.
  REQUIRE_OK(PushIn(shards, 2, 0));
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
  REQUIRE_OK(PushIn(shards, 1, 2, 1, {0, 2}));
  RestoreAll(shards, 2, 0, nullptr);
  Train(shards, 0, 1);
  REQUIRE(heard ==
          std::vector<std::pair<int64_t, int64_t>>{{1, 0}, {1, 1}, {2, 0}});
}

TEST_CASE("the same key with other bytes is refused and names both senders") {
  TestShards shards(TestJob("sgd {}"), MakeTestPlan(TestJob("sgd {}"), 1));
  ShardStore& store = shards.store(0);
  constexpr auto kExists = absl::StatusCode::kAlreadyExists;
  REQUIRE_OK(PushIn(shards, 0, 0, 1, {0, 1}, 7));
  const uint64_t before = store.StateHash();
  REQUIRE_ERROR(PushIn(shards, 0, 0, 2, {0, 1}, 8), kExists, "worker 7",
                "worker 8", "step 0", "[0, 1)", "block 0");
  REQUIRE(store.StateHash() == before);
  REQUIRE(PushIn(shards, 0, 0, 1, {0, 1}, 8)->outcome ==
          PushOutcome::kDuplicate);
  // Also once the step is complete, and by whoever completed it.
  REQUIRE(PushIn(shards, 0, 0, 3, {1, 2}, 9)->outcome ==
          PushOutcome::kCompleted);
  REQUIRE_ERROR(PushIn(shards, 0, 0, 2, {0, 1}, 8), kExists, "worker 7");
  REQUIRE_ERROR(PushIn(shards, 0, 0, 1, {1, 2}, 8), kExists, "worker 9");
  REQUIRE(PushIn(shards, 0, 0, 3, {1, 2}, 8)->outcome ==
          PushOutcome::kDuplicate);
  // Of a range inside a larger one nothing is known.
  REQUIRE_OK(PushIn(shards, 0, 1, 1, {0, 2}, 7));
  REQUIRE(PushIn(shards, 0, 1, 5, {0, 1}, 8)->outcome ==
          PushOutcome::kDuplicate);
  // Nor of steps that are long over, or that the shard went back behind.
  REQUIRE(PushIn(shards, 0, 0, 9, {0, 1}, 8)->outcome ==
          PushOutcome::kDuplicate);
  REQUIRE_OK(store.Restore(1, 0, nullptr));
  REQUIRE(PushIn(shards, 1, 0, 2, {0, 1}, 8)->outcome == PushOutcome::kAdded);
}

}  // namespace
}  // namespace tessera
