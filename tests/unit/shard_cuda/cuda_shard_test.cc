// A whole shard on the GPU beside one on the CPU: the same pushes, the same
// state, to the bit; and what happens when the GPU fails.

#include <algorithm>
#include <random>
#include <utility>
#include <vector>

#include "common/device/make_device.h"
#include "common/tensor/bfloat16.h"
#include "server/shard/shard_store.h"
#include "tests/support/test_job.h"
#include "tests/unit/shard/test_shards.h"
#include "tests/unit/shard_cuda/stand_in_gpu.h"

namespace tessera {
namespace {

using fake_cuda::Call;

constexpr int kParameters = 100;
constexpr int kMicrobatches = 7;
constexpr int64_t kBlockBytes = 192;  // Three blocks, the last one shorter.

Job MakeJob(const std::string& optimizer, const std::string& wire = "") {
  return MakeTestJob({.parameters = kParameters,
                      .microbatches = kMicrobatches,
                      .block_bytes = kBlockBytes,
                      .optimizer = optimizer,
                      .wire = wire});
}

// A job's only shard on a device.
class Shard {
 public:
  Shard(Job job, std::unique_ptr<Device> device)
      : job_(std::move(job)),
        plan_(MakeTestPlan(job_, 1)),
        device_(std::move(device)) {
    auto store = ShardStore::Create(job_, plan_, 0, *device_);
    REQUIRE_OK(store);
    store_ = *std::move(store);
  }

  ShardStore& store() { return *store_; }

  absl::StatusOr<PushResult> Push(int block, int64_t step, int microbatch) {
    const Interval piece = plan_.BlockElements(block);
    const std::vector<float> whole =
        TestGradient(step, microbatch, kParameters);
    const std::vector<float> values(whole.begin() + piece.begin,
                                    whole.begin() + piece.end);
    FragmentedBytes payload = FragmentedBytes::OfFloats(values);
    std::vector<uint8_t> rounded(values.size() * kBfloat16Bytes);
    if (job_.push_encoding() == v1::ENCODING_BFLOAT16) {
      RoundToBfloat16(values, rounded.data());
      payload = FragmentedBytes(rounded);
    }
    return store_->Push({.block = block,
                         .step = step,
                         .range = {microbatch, microbatch + 1},
                         .worker = WorkerId(1)},
                        payload);
  }

 private:
  const Job job_;
  const ShardPlan plan_;
  const std::unique_ptr<Device> device_;
  std::unique_ptr<ShardStore> store_;
};

TEST_CASE("a shard on the GPU has the CPU's state, push by push") {
  const std::string optimizer =
      GENERATE("sgd {}", "sgd { momentum: 0.9 }",
               "sgd { momentum: 0.9 nesterov: true } weight_decay: 0.01",
               "adamw {} weight_decay: 0.01");
  const std::string wire =
      GENERATE("", "push: ENCODING_BFLOAT16", "pull: ENCODING_BFLOAT16");
  const uint64_t seed = GENERATE(take(2, random(1, 1 << 30)));
  CAPTURE(optimizer, wire, seed);
  std::mt19937_64 random(seed);
  Shard gpu(MakeJob(optimizer, wire), MakeStandInGpu());
  Shard cpu(MakeJob(optimizer, wire), *MakeDevice("cpu"));
  REQUIRE(gpu.store().StateHash() == cpu.store().StateHash());
  for (int64_t step = 0; step < 3; ++step) {
    std::vector<std::pair<int, int>> pushes;
    for (int block = 0; block < 3; ++block) {
      for (int m = 0; m < kMicrobatches; ++m) pushes.emplace_back(block, m);
    }
    std::shuffle(pushes.begin(), pushes.end(), random);
    for (const auto& [block, microbatch] : pushes) {
      CAPTURE(step, block, microbatch);
      const auto on_gpu = gpu.Push(block, step, microbatch);
      const auto on_cpu = cpu.Push(block, step, microbatch);
      REQUIRE_OK(on_gpu);
      REQUIRE_OK(on_cpu);
      REQUIRE(on_gpu->outcome == on_cpu->outcome);
      REQUIRE(gpu.store().StateHash() == cpu.store().StateHash());
      // What answers carry is there, in host memory.
      const auto there = PullNow(gpu.store(), block);
      const auto expected = PullNow(cpu.store(), block);
      REQUIRE(there->values == expected->values);
      REQUIRE(there->payload == expected->payload);
    }
  }
}

TEST_CASE("a call of CUDA's that fails fails the push, and changes nothing") {
  const auto call =
      GENERATE(Call::kAllocate, Call::kCopy, Call::kLaunch, Call::kWait);
  const auto error = GENERATE(cudaErrorMemoryAllocation, cudaErrorInvalidValue);
  CAPTURE(static_cast<int>(call), error);
  Shard shard(MakeJob("adamw {}"), MakeStandInGpu());
  int failures = 0;
  for (int64_t step = 0; step < 2; ++step) {
    for (int m = 0; m < kMicrobatches; ++m) {
      for (int nth = 1; nth <= 2; ++nth) {
        const uint64_t before = shard.store().StateHash();
        fake_cuda::FailCall(call, nth, error);
        const auto pushed = shard.Push(0, step, m);
        fake_cuda::FailCall(call, 0, error);
        if (pushed.ok()) continue;
        ++failures;
        REQUIRE_ERROR(pushed, error == cudaErrorMemoryAllocation
                                  ? absl::StatusCode::kResourceExhausted
                                  : absl::StatusCode::kInternal);
        REQUIRE(shard.store().StateHash() == before);
      }
      REQUIRE_OK(shard.Push(0, step, m));
    }
  }
  REQUIRE(failures > 0);
  REQUIRE(PullNow(shard.store(), 0)->version == 2);
  // The same end as without failures.
  Shard undisturbed(MakeJob("adamw {}"), MakeStandInGpu());
  for (int64_t step = 0; step < 2; ++step) {
    for (int m = 0; m < kMicrobatches; ++m) {
      REQUIRE_OK(undisturbed.Push(0, step, m));
    }
  }
  REQUIRE(undisturbed.store().StateHash() == shard.store().StateHash());
}

TEST_CASE("a GPU that is lost fails every push, and pulls go on") {
  Shard shard(MakeJob("sgd {}"), MakeStandInGpu());
  REQUIRE_OK(shard.Push(0, 0, 0));
  fake_cuda::LoseAfter(1);
  for (int m = 1; m < kMicrobatches; ++m) {
    REQUIRE_ERROR(shard.Push(0, 0, m), absl::StatusCode::kUnavailable, "lost",
                  "start it anew");
  }
  REQUIRE(PullNow(shard.store(), 0)->version == 0);
}

TEST_CASE("a shard that does not fit on the GPU is not made") {
  const Job job = MakeJob("adamw {}");
  const auto device = MakeStandInGpu();
  // A lane's room, and for each block its values, slots and accumulator.
  constexpr size_t kNeeded = kBlockBytes + 4 * kParameters * sizeof(float);
  fake_cuda::SetDeviceMemory(kNeeded - 1);
  REQUIRE_ERROR(ShardStore::Create(job, MakeTestPlan(job, 1), 0, *device),
                absl::StatusCode::kResourceExhausted, "device memory", "free");
  REQUIRE(fake_cuda::LiveObjects() == fake_cuda::Live{});
  fake_cuda::SetDeviceMemory(kNeeded);
  REQUIRE_OK(ShardStore::Create(job, MakeTestPlan(job, 1), 0, *device));
  REQUIRE(fake_cuda::LiveObjects() == fake_cuda::Live{});
}

TEST_CASE("after the first steps no step allocates") {
  Shard shard(MakeJob("adamw {}"), MakeStandInGpu());
  constexpr int64_t kWarmUp = 2;
  int device_allocations = 0;
  int host_allocations = 0;
  for (int64_t step = 0; step < 6; ++step) {
    if (step == kWarmUp) {
      device_allocations = fake_cuda::CallCount(Call::kAllocate);
      host_allocations = fake_cuda::CallCount(Call::kAllocateHost);
    }
    for (int m = 0; m < kMicrobatches; ++m) {
      for (int block = 0; block < 3; ++block) {
        REQUIRE_OK(shard.Push(block, step, m));
      }
    }
  }
  REQUIRE(fake_cuda::CallCount(Call::kAllocate) == device_allocations);
  REQUIRE(fake_cuda::CallCount(Call::kAllocateHost) == host_allocations);
}

}  // namespace
}  // namespace tessera
