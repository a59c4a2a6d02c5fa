// When memory runs out, a call fails and nothing has changed; and a steady step
// needs no new memory at all.

#include <algorithm>
#include <catch2/catch.hpp>
#include <vector>

#include "tests/support/failing_device.h"
#include "tests/support/status.h"
#include "tests/support/test_job.h"
#include "tests/unit/shard/test_shards.h"

namespace tessera {
namespace {

constexpr auto kExhausted = absl::StatusCode::kResourceExhausted;
constexpr int kParameters = 40;
constexpr char kRounded[] = "pull: ENCODING_BFLOAT16";

absl::Status PushAll(ShardStore& store, int64_t step,
                     const MicrobatchRange& range) {
  const std::vector<float> values(16, 1);
  for (int block = 0; block < 3; ++block) {
    const FragmentedBytes payload = FragmentedBytes::OfFloats(
        absl::MakeConstSpan(values).first(block == 2 ? 8 : 16));
    const auto pushed = store.Push(
        {.block = block, .step = step, .range = range, .worker = WorkerId(1)},
        payload);
    if (!pushed.ok()) return pushed.status();
  }
  return absl::OkStatus();
}

TEST_CASE("a store that does not fit is not made") {
  const bool rounds = GENERATE(false, true);
  const Job job = MakeTestJob({.parameters = kParameters,
                               .optimizer = "adamw {}",
                               .wire = rounds ? kRounded : ""});
  FailingDevice device;
  // 3 blocks, each with values, perhaps rounded ones, two slots and an
  // accumulator.
  const int needed = rounds ? 15 : 12;
  for (int works = 0; works < needed; ++works) {
    device.FailAfter(works);
    REQUIRE_ERROR(ShardStore::Create(job, MakeTestPlan(job, 1), 0, device),
                  kExhausted, "bytes");
  }
  device.FailAfter(needed);
  REQUIRE_OK(ShardStore::Create(job, MakeTestPlan(job, 1), 0, device));
}

TEST_CASE("a push that finds no memory changes nothing, and may be repeated") {
  const Job job = MakeTestJob(
      {.parameters = kParameters, .microbatches = 4, .optimizer = "adamw {}"});
  FailingDevice device;
  auto store = ShardStore::Create(job, MakeTestPlan(job, 1), 0, device);
  REQUIRE_OK(store);
  // The first sum of a block has its place; another one, if only until it has
  // taken the first one's place, or a new version, has none yet.
  REQUIRE_OK(PushAll(**store, 0, {0, 1}));
  const MicrobatchRange range =
      GENERATE(values<MicrobatchRange>({{1, 2}, {2, 3}, {0, 4}}));
  const uint64_t before = (*store)->StateHash();
  device.FailAfter(0);
  REQUIRE_ERROR(PushAll(**store, 0, range), kExhausted, "bytes");
  REQUIRE((*store)->StateHash() == before);
  device.Heal();
  REQUIRE_OK(PushAll(**store, 0, range));
  REQUIRE((*store)->StateHash() != before);
}

TEST_CASE("after the first steps no step allocates") {
  const std::string optimizer =
      GENERATE("sgd {}", "sgd { momentum: 0.9 }", "adamw {}");
  const Job job = MakeTestJob({.parameters = kParameters,
                               .microbatches = 8,
                               .optimizer = optimizer,
                               .wire = GENERATE("", kRounded)});
  FailingDevice device;
  auto store = ShardStore::Create(job, MakeTestPlan(job, 1), 0, device);
  REQUIRE_OK(store);
  constexpr int64_t kWarmUp = 2;
  for (int64_t step = 0; step < 50; ++step) {
    if (step == kWarmUp) device.FailAfter(0);
    for (int m = 0; m < 8; ++m) {
      // Even ones first: half of the leaves are held at once.
      const int microbatch = m < 4 ? 2 * m : 2 * (m - 4) + 1;
      REQUIRE_OK(PushAll(**store, step, {microbatch, microbatch + 1}));
    }
  }
}

TEST_CASE("to go back takes no memory that was not there") {
  const Job job = MakeTestJob({.parameters = kParameters,
                               .optimizer = "adamw {}",
                               .wire = GENERATE("", kRounded)});
  FailingDevice device;
  auto store = ShardStore::Create(job, MakeTestPlan(job, 1), 0, device);
  REQUIRE_OK(store);
  const auto source = [](int, int64_t, absl::Span<float> values) {
    std::fill(values.begin(), values.end(), 0.5f);
    return absl::OkStatus();
  };
  // Neither at the start, nor with partial sums and older versions, nor after a
  // restore that was given up, nor back to the very first version.
  device.FailAfter(0);
  REQUIRE_OK((*store)->Restore(1, 7, source));
  device.Heal();
  REQUIRE_OK(PushAll(**store, 7, {0, 2}));
  REQUIRE_OK(PushAll(**store, 8, {0, 1}));
  device.FailAfter(0);
  REQUIRE_OK((*store)->Restore(2, 7, source));
  int reads = 0;
  REQUIRE_ERROR((*store)->Restore(
                    3, 7,
                    [&](int section, int64_t first, absl::Span<float> values) {
                      return ++reads < 5 ? source(section, first, values)
                                         : absl::DataLossError("torn");
                    }),
                absl::StatusCode::kDataLoss, "torn");
  REQUIRE_OK((*store)->Restore(3, 7, source));
  REQUIRE_OK((*store)->Restore(4, 0, nullptr));
}

TEST_CASE("a restore that finds no memory may be repeated") {
  const Job job =
      MakeTestJob({.parameters = kParameters, .optimizer = "adamw {}"});
  FailingDevice device;
  auto store = ShardStore::Create(job, MakeTestPlan(job, 1), 0, device);
  REQUIRE_OK(store);
  // Its memory does not come back while somebody reads it.
  const auto lent = PullNow(**store, 1);
  const auto source = [](int, int64_t, absl::Span<float> values) {
    std::fill(values.begin(), values.end(), 0.5f);
    return absl::OkStatus();
  };
  device.FailAfter(0);
  REQUIRE_ERROR((*store)->Restore(1, 7, source), kExhausted, "bytes");
  REQUIRE_ERROR(PullNow(**store, 0), absl::StatusCode::kUnavailable);
  device.Heal();
  REQUIRE_OK((*store)->Restore(1, 7, source));
  REQUIRE(PullNow(**store, 1)->version == 7);
}

}  // namespace
}  // namespace tessera
