// Who is served: the generation at hand, and nobody while there is none.

#include <catch2/catch.hpp>
#include <optional>
#include <vector>

#include "server/shard/shard_store.h"
#include "tests/support/status.h"
#include "tests/support/test_job.h"
#include "tests/unit/shard/recovery_shards.h"
#include "tests/unit/shard/test_shards.h"

namespace tessera {
namespace {

// One shard of three blocks, of which the tests push to the first.
struct Harness {
  ShardStore& store() { return shards.store(0); }

  Job job = MakeTestJob({.parameters = 40, .microbatches = 2});
  TestShards shards{job, MakeTestPlan(job, 1)};
};

TEST_CASE("only the generation that is served may push and pull") {
  Harness h;
  ShardStore& store = h.store();
  REQUIRE(store.generation() == 0);
  REQUIRE_ERROR(Push(h.shards, {.generation = 1}),
                absl::StatusCode::kUnavailable, "generation 1");
  REQUIRE_OK(store.Restore(3, 0, nullptr));
  const uint64_t before = store.StateHash();
  REQUIRE_ERROR(Push(h.shards, {.generation = 2}), absl::StatusCode::kAborted,
                "generation 2", "over");
  REQUIRE_ERROR(Push(h.shards, {.generation = 4}),
                absl::StatusCode::kUnavailable, "generation 4");
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
  REQUIRE_OK(Push(h.shards, {.generation = 3}));
  // Clients that know of no generations.
  REQUIRE_OK(Push(h.shards, {.range = {1, 2}}));
}

TEST_CASE("waits end when the shard goes back, and partial sums are gone") {
  Harness h;
  ShardStore& store = h.store();
  REQUIRE_OK(store.Restore(1, 0, nullptr));
  const uint64_t fresh = store.StateHash();
  REQUIRE_OK(Push(h.shards, {.generation = 1}));
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
  // They wait as before.
  bool is_answered = false;
  store.Pull(
      0, 1, [&](auto answer) { is_answered = answer.ok(); }, 2);
  REQUIRE_OK(Push(h.shards, {.generation = 2, .range = {0, 2}}));
  REQUIRE(is_answered);
}

TEST_CASE("a suspended shard refuses everything until it is restored") {
  Harness h;
  ShardStore& store = h.store();
  REQUIRE_OK(Push(h.shards, {}));
  std::optional<absl::Status> waits;
  store.Pull(0, 1, [&](auto answer) { waits = answer.status(); });
  store.Suspend();
  store.Suspend();
  REQUIRE_ERROR(*waits, absl::StatusCode::kUnavailable, "loading");
  REQUIRE_ERROR(Push(h.shards, {.generation = 0}),
                absl::StatusCode::kUnavailable, "loading");
  REQUIRE_ERROR(PullNow(store, 0), absl::StatusCode::kUnavailable, "loading");
  REQUIRE_ERROR(store.Capture(0, 0, [](auto) { FAIL("called"); }),
                absl::StatusCode::kUnavailable, "loading");
  REQUIRE_OK(store.Restore(1, 0, nullptr));
  REQUIRE_OK(PullNow(store, 0));
  // In the middle of a generation, too.
  store.Suspend();
  REQUIRE(store.generation() == 1);
  REQUIRE_ERROR(Push(h.shards, {.generation = 1}),
                absl::StatusCode::kUnavailable, "loading");
  REQUIRE_OK(store.Restore(2, 0, nullptr));
  REQUIRE_ERROR(Push(h.shards, {.generation = 1}), absl::StatusCode::kAborted,
                "generation 1");
  REQUIRE_OK(Push(h.shards, {.generation = 2}));
}

TEST_CASE("a push that comes from before a restore adds nothing to it") {
  Harness h;
  RestoreAll(h.shards, 1, 0, nullptr);
  Train(h.shards, 0, 2);
  const Sections saved = CaptureAll(h.shards, 1, 2, 1);
  RestoreAll(h.shards, 2, 2, From(saved));
  const uint64_t restored = h.store().StateHash();
  // Early, in time and late: all the same.
  for (const int64_t step : {0, 2, 7}) {
    REQUIRE_ERROR(Push(h.shards, {.generation = 1, .step = step}),
                  absl::StatusCode::kAborted, "generation 1");
  }
  REQUIRE(h.store().StateHash() == restored);
}

}  // namespace
}  // namespace tessera
