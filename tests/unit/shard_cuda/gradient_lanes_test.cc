// Lanes: one for each push at a time, and what becomes of them when a call of
// CUDA's fails.

#include "server/shard/cuda/gradient_lanes.h"

#include <thread>
#include <vector>

#include "server/shard/cuda/cuda_block_math.h"
#include "tests/unit/shard/test_shards.h"
#include "tests/unit/shard_cuda/stand_in_gpu.h"

namespace tessera {
namespace {

using fake_cuda::Call;

constexpr size_t kElements = 1000;
constexpr size_t kBytes = kElements * sizeof(float);

std::shared_ptr<GradientLanes> MakeLanes(Device& device) {
  auto lanes = GradientLanes::Create(device, kBytes);
  REQUIRE_OK(lanes);
  return *std::move(lanes);
}

absl::StatusOr<bool> Fold(const BlockMath& math,
                          const std::vector<float>& payload, float* out) {
  GradientSum sum;
  sum.payload = FragmentedBytes::OfFloats(payload);
  return math.Fold(sum, out);
}

TEST_CASE("one push after another uses one lane") {
  const auto device = MakeStandInGpu();
  const auto math = MakeCudaBlockMath(MakeLanes(*device));
  const GpuArray out(*device, kElements);
  const fake_cuda::Live before = fake_cuda::LiveObjects();
  for (int i = 0; i < 10; ++i) {
    const auto payload = TestGradient(i, 0, kElements);
    REQUIRE_OK(Fold(*math, payload, out.data()));
    REQUIRE(out.Fetch() == payload);
  }
  REQUIRE(fake_cuda::LiveObjects() == before);
}

TEST_CASE("threads push at once, each on a lane of its own") {
  constexpr int kThreads = 4;
  const auto device = MakeStandInGpu();
  const auto math = MakeCudaBlockMath(MakeLanes(*device));
  std::vector<int> good(kThreads, 0);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      const auto payload = TestGradient(t, 0, kElements);
      auto out = device->Allocate(MemoryKind::kDevice, kBytes);
      auto stream = device->CreateStream();
      std::vector<float> fetched(kElements);
      for (int i = 0; i < 50; ++i) {
        const auto done =
            Fold(*math, payload, static_cast<float*>(out->data()));
        if (done.ok() && *done &&
            (*stream)->Copy(fetched.data(), out->data(), kBytes).ok() &&
            fetched == payload) {
          ++good[static_cast<size_t>(t)];
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  REQUIRE(good == std::vector<int>(kThreads, 50));
  // No more lanes than pushes at once.
  REQUIRE(fake_cuda::LiveObjects().streams <= kThreads);
}

TEST_CASE("lanes that do not fit are not made") {
  const auto device = MakeStandInGpu();
  fake_cuda::SetDeviceMemory(kBytes - 1);
  REQUIRE_ERROR(GradientLanes::Create(*device, kBytes),
                absl::StatusCode::kResourceExhausted, "4000 bytes");
  REQUIRE(fake_cuda::LiveObjects() == fake_cuda::Live{});
}

TEST_CASE("a push on which anything fails leaves nothing behind") {
  const auto device = MakeStandInGpu();
  const auto call = GENERATE(Call::kCopy, Call::kLaunch, Call::kWait);
  CAPTURE(static_cast<int>(call));
  const auto math = MakeCudaBlockMath(MakeLanes(*device));
  const GpuArray out(*device, kElements);
  const fake_cuda::Live before = fake_cuda::LiveObjects();
  const auto payload = TestGradient(0, 0, kElements);
  fake_cuda::FailCall(call, 1, cudaErrorLaunchOutOfResources);
  REQUIRE_ERROR(Fold(*math, payload, out.data()), absl::StatusCode::kInternal,
                "701");
  // Its lane is gone; the next push makes one.
  REQUIRE_OK(Fold(*math, payload, out.data()));
  REQUIRE(out.Fetch() == payload);
  REQUIRE(fake_cuda::LiveObjects() == before);
}

TEST_CASE("errors of a kernel are said with its name") {
  const auto device = MakeStandInGpu();
  const auto math = MakeCudaBlockMath(MakeLanes(*device));
  const GpuArray out(*device, kElements);
  fake_cuda::FailCall(Call::kLaunch, 1, cudaErrorNoKernelImageForDevice);
  REQUIRE_ERROR(Fold(*math, TestGradient(0, 0, kElements), out.data()),
                absl::StatusCode::kInternal, "add gradients", "209");
}

TEST_CASE("once the device is lost every push says so") {
  for (int calls = 0; calls < 4; ++calls) {
    CAPTURE(calls);
    const auto device = MakeStandInGpu();
    const auto math = MakeCudaBlockMath(MakeLanes(*device));
    const GpuArray out(*device, kElements);
    const auto payload = TestGradient(0, 0, kElements);
    fake_cuda::LoseAfter(calls);
    bool was_lost = false;
    for (int i = 0; i < 3; ++i) {
      const auto pushed = Fold(*math, payload, out.data());
      if (!was_lost && pushed.ok()) continue;
      was_lost = true;
      REQUIRE_ERROR(pushed, absl::StatusCode::kUnavailable, "lost");
    }
    REQUIRE(was_lost);
  }
}

}  // namespace
}  // namespace tessera
