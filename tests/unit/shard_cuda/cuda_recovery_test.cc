// A shard on the GPU that goes back, and whose state is copied out: what may
// fail there, and that it is the CPU's state.

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "common/device/make_device.h"
#include "server/shard/shard_store.h"
#include "tests/support/test_job.h"
#include "tests/unit/shard/recovery_shards.h"
#include "tests/unit/shard_cuda/stand_in_gpu.h"

namespace tessera {
namespace {

using fake_cuda::Call;

constexpr int kParameters = 100;
constexpr int kSections = 3;

// A job's only shard, of three blocks, with AdamW's state.
struct Shard {
  explicit Shard(std::unique_ptr<Device> on) : device(std::move(on)) {
    auto made = ShardStore::Create(job, MakeTestPlan(job, 1), 0, *device);
    REQUIRE_OK(made);
    store = *std::move(made);
  }

  // Step `step`, whole.
  void Push(int64_t step) {
    const ShardPlan plan = MakeTestPlan(job, 1);
    const auto sum = TreeSum(job.tree(), step, {0, 2}, kParameters);
    for (int block = 0; block < plan.block_count(); ++block) {
      const Interval piece = plan.BlockElements(block);
      REQUIRE_OK(store->Push(
          {.block = block,
           .step = step,
           .range = {0, 2},
           .worker = WorkerId(1)},
          FragmentedBytes::OfFloats(absl::MakeConstSpan(sum).subspan(
              static_cast<size_t>(piece.begin),
              static_cast<size_t>(piece.size())))));
    }
  }

  std::shared_ptr<ShardSnapshot> Capture(int64_t version) {
    std::shared_ptr<ShardSnapshot> snapshot;
    REQUIRE_OK(store->Capture(store->generation(), version,
                              [&](auto result) { snapshot = *result; }));
    return snapshot;
  }

  const Job job = MakeTestJob({.parameters = kParameters,
                               .microbatches = 2,
                               .block_bytes = 192,
                               .optimizer = "adamw {}"});
  const std::unique_ptr<Device> device;
  std::unique_ptr<ShardStore> store;
};

TEST_CASE("state moves from a CPU to a GPU and back, and stays the same") {
  Shard cpu(*MakeDevice("cpu"));
  Shard gpu(MakeStandInGpu());
  for (int64_t step = 0; step < 2; ++step) cpu.Push(step);
  const Sections at_2 = ReadAll(*cpu.Capture(2), kSections);
  REQUIRE_OK(gpu.store->Restore(1, 2, From(at_2)));
  REQUIRE(ReadAll(*gpu.Capture(2), kSections) == at_2);
  for (Shard* shard : {&cpu, &gpu}) shard->Push(2);
  REQUIRE(gpu.store->StateHash() == cpu.store->StateHash());

  const Sections at_3 = ReadAll(*gpu.Capture(3), kSections);
  Shard other(*MakeDevice("cpu"));
  REQUIRE_OK(other.store->Restore(1, 3, From(at_3)));
  for (Shard* shard : {&cpu, &gpu, &other}) shard->Push(3);
  REQUIRE(gpu.store->StateHash() == cpu.store->StateHash());
  REQUIRE(other.store->StateHash() == cpu.store->StateHash());
}

TEST_CASE("a capture is read while the GPU goes on") {
  Shard gpu(MakeStandInGpu());
  gpu.Push(0);
  const auto snapshot = gpu.Capture(1);
  const Sections before = ReadAll(*snapshot, kSections);
  for (int64_t step = 1; step < 4; ++step) gpu.Push(step);
  REQUIRE(ReadAll(*snapshot, kSections) == before);
  // Across blocks of 48, from inside the first.
  std::vector<float> part(70);
  REQUIRE_OK(snapshot->Read(2, {20, 90}, absl::MakeSpan(part)));
  REQUIRE(std::equal(part.begin(), part.end(), before[2].begin() + 20));
}

TEST_CASE("a GPU's call that fails fails the restore, which may be repeated") {
  const auto call = GENERATE(Call::kCopy, Call::kWait, Call::kCreate);
  Shard undisturbed(MakeStandInGpu());
  undisturbed.Push(0);
  const Sections at_1 = ReadAll(*undisturbed.Capture(1), kSections);
  Shard gpu(MakeStandInGpu());
  int failures = 0;
  for (int nth = 1; nth <= 10; ++nth) {
    CAPTURE(static_cast<int>(call), nth);
    fake_cuda::FailCall(call, nth, cudaErrorInvalidValue);
    const absl::Status status =
        gpu.store->Restore(gpu.store->generation() + 1, 1, From(at_1));
    fake_cuda::FailCall(call, 0, cudaErrorInvalidValue);
    if (status.ok()) continue;
    ++failures;
    REQUIRE_ERROR(status, absl::StatusCode::kInternal);
    REQUIRE_ERROR(PullNow(*gpu.store, 0), absl::StatusCode::kUnavailable);
  }
  REQUIRE(failures > 0);
  REQUIRE_OK(gpu.store->Restore(100, 1, From(at_1)));
  for (Shard* shard : {&undisturbed, &gpu}) shard->Push(1);
  REQUIRE(gpu.store->StateHash() == undisturbed.store->StateHash());
}

TEST_CASE("a copy out of the GPU that fails says so") {
  Shard gpu(MakeStandInGpu());
  const auto snapshot = gpu.Capture(0);
  std::vector<float> values(kParameters);
  fake_cuda::FailCall(Call::kCopy, 1, cudaErrorInvalidValue);
  REQUIRE_ERROR(snapshot->Read(1, snapshot->elements(), absl::MakeSpan(values)),
                absl::StatusCode::kInternal);
  REQUIRE_OK(snapshot->Read(1, snapshot->elements(), absl::MakeSpan(values)));
}

}  // namespace
}  // namespace tessera
