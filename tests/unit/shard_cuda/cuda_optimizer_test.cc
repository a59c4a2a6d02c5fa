// Every optimizer on the GPU against the same on the CPU, bit for bit.

#include <cmath>
#include <vector>

#include "common/device/cpu/cpu_device.h"
#include "server/shard/cuda/cuda_kernels.h"
#include "server/shard/kernels.h"
#include "tests/support/test_job.h"
#include "tests/unit/shard/test_shards.h"
#include "tests/unit/shard_cuda/gpu_under_test.h"

namespace tessera {
namespace {

// One step's arrays, as ordinary memory.
struct Arrays {
  std::vector<float> payload;
  std::vector<std::vector<float>> held;
  std::vector<float> x;
  std::vector<std::vector<float>> slots;
};

struct Result {
  std::vector<float> x;
  std::vector<float> host_copy;
  std::vector<std::vector<float>> slots;
};

Arrays MakeArrays(int elements, int terms, int slot_count) {
  Arrays a{.payload = TestGradient(0, 0, elements),
           .held = {},
           .x = TestGradient(1, 0, elements),
           .slots = {}};
  for (int k = 0; k < terms; ++k) {
    a.held.push_back(TestGradient(2, k, elements));
  }
  for (int s = 0; s < slot_count; ++s) {
    a.slots.push_back(TestGradient(3, s, elements));
    // Second moments are not negative.
    for (float& value : a.slots.back()) value = std::abs(value);
  }
  return a;
}

Result OnCpu(const Optimizer& optimizer, const Arrays& a, int64_t step) {
  Result r{
      .x = std::vector<float>(a.x.size()),
      .host_copy = {},
      .slots = std::vector(a.slots.size(), std::vector<float>(a.x.size()))};
  BlockUpdate u{
      .step = step, .parameters = a.x.data(), .new_parameters = r.x.data()};
  u.gradient.payload = FragmentedBytes::OfFloats(a.payload);
  for (const auto& held : a.held) u.gradient.held.push_back(held.data());
  for (size_t s = 0; s < a.slots.size(); ++s) {
    u.slots.push_back(a.slots[s].data());
    u.new_slots.push_back(r.slots[s].data());
  }
  REQUIRE_OK(optimizer.Apply(u));
  r.host_copy = r.x;
  return r;
}

Result OnGpu(Device& device, const Optimizer& optimizer, const Arrays& a,
             int64_t step, size_t offset) {
  std::vector<std::unique_ptr<GpuArray>> arrays;
  const auto make = [&](const std::vector<float>& values) {
    arrays.push_back(std::make_unique<GpuArray>(device, values, offset));
    return arrays.back()->data();
  };
  const std::vector<float> blank(a.x.size(), -1.0f);
  const GpuArray x(device, a.x, offset);
  const GpuArray new_x(device, blank, offset);
  const Memory pinned =
      *device.Allocate(MemoryKind::kHost, a.x.size() * sizeof(float));
  auto* const host_copy = static_cast<float*>(pinned.data());
  BlockUpdate u{.step = step,
                .parameters = x.data(),
                .new_parameters = new_x.data(),
                .host_copy = host_copy};
  u.gradient.payload = FragmentedBytes::OfFloats(a.payload);
  for (const auto& held : a.held) u.gradient.held.push_back(make(held));
  for (const auto& slot : a.slots) u.slots.push_back(make(slot));
  std::vector<std::unique_ptr<GpuArray>> new_slots;
  for (size_t s = 0; s < a.slots.size(); ++s) {
    new_slots.push_back(std::make_unique<GpuArray>(device, blank, offset));
    u.new_slots.push_back(new_slots.back()->data());
  }
  const auto applied = optimizer.Apply(u);
  REQUIRE_OK(applied);
  REQUIRE(*applied);
  Result r{.x = new_x.Fetch(),
           .host_copy = {host_copy, host_copy + a.x.size()},
           .slots = {}};
  for (const auto& slot : new_slots) r.slots.push_back(slot->Fetch());
  return r;
}

TEST_CASE("every optimizer gives the CPU's bits") {
  const std::string optimizer = GENERATE(
      "sgd {}", "sgd {} weight_decay: 0.1",
      "sgd {} weight_decay: 0.1 decoupled_weight_decay: true clip_element: 0.3",
      "sgd { momentum: 0.9 }",
      "sgd { momentum: 0.8 nesterov: true } weight_decay: 0.1", "adamw {}",
      "adamw { beta1: 0.5 beta2: 0.8 epsilon: 0.01 } weight_decay: 0.1");
  const int elements = GENERATE(2, 4, 7, 1024, 1025, 4001);
  CAPTURE(optimizer, elements);
  const Job job = MakeTestJob({.parameters = elements,
                               .microbatches = 3,
                               .block_bytes = 16384,
                               .optimizer = optimizer});
  const auto cpu = MakeCpuDevice();
  const auto gpu = MakeGpuUnderTest();
  const Kernels cpu_kernels = *MakeKernels(job, *cpu);
  const Kernels gpu_kernels = *MakeCudaKernels(job, *gpu);
  const int slot_count = cpu_kernels.optimizer->slot_count();
  REQUIRE(gpu_kernels.optimizer->slot_count() == slot_count);
  for (int terms : {0, 1, 2, 3, 6}) {
    const Arrays arrays = MakeArrays(elements, terms, slot_count);
    const Result expected = OnCpu(*cpu_kernels.optimizer, arrays, terms);
    for (size_t offset : {0, 1}) {
      CAPTURE(terms, offset);
      const Result result =
          OnGpu(*gpu, *gpu_kernels.optimizer, arrays, terms, offset);
      REQUIRE(result.x == expected.x);
      REQUIRE(result.host_copy == expected.x);
      REQUIRE(result.slots == expected.slots);
    }
  }
}

TEST_CASE("a gradient that is not finite is said, not applied silently") {
  const Job job = MakeTestJob({.parameters = 8, .block_bytes = 64});
  const auto gpu = MakeGpuUnderTest();
  const Kernels kernels = *MakeCudaKernels(job, *gpu);
  const std::vector<float> payload(8, INFINITY);
  const GpuArray x(*gpu, size_t{8});
  const GpuArray new_x(*gpu, size_t{8});
  BlockUpdate u{.parameters = x.data(), .new_parameters = new_x.data()};
  u.gradient.payload = FragmentedBytes::OfFloats(payload);
  const auto applied = kernels.optimizer->Apply(u);
  REQUIRE_OK(applied);
  REQUIRE_FALSE(*applied);
}

}  // namespace
}  // namespace tessera
