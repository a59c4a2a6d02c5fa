// Where a worker on a GPU keeps what travels to it and from it. Over the
// stand-in for CUDA.

#include <catch2/catch.hpp>
#include <memory>

#include "common/device/cuda/cuda_device.h"
#include "common/plan/shard_plan.h"
#include "common/shm/shared_region.h"
#include "tests/support/fake_cuda/fake_cuda.h"
#include "tests/support/status.h"
#include "worker/train/block_board.h"
#include "worker/train/gradient_pool.h"

namespace tessera {
namespace {

constexpr int64_t kElements = 5000;

std::unique_ptr<Device> MakeGpu() {
  fake_cuda::Reset();
  auto device = MakeCudaDevice();
  REQUIRE_OK(device);
  return *std::move(device);
}

ShardPlan Plan() {
  const auto plan = ShardPlan::Create(kElements, 1, 4096);
  REQUIRE_OK(plan);
  return *plan;
}

TEST_CASE("parameters and gradients lie in pinned memory") {
  const auto gpu = MakeGpu();
  {
    BlockBoard board(Plan(), gpu.get());
    for (int64_t version : {0, 1}) {
      const absl::Span<float> values = board.Values(version);
      REQUIRE(values.size() == kElements);
      REQUIRE(gpu->IsPinned(values.data()));
      REQUIRE(gpu->IsPinned(&values.back()));
    }
    REQUIRE(board.Values(0).data() == board.Values(2).data());
    REQUIRE(board.Values(0).data() != board.Values(1).data());
    GradientPool pool(kElements, nullptr, gpu.get());
    const auto gradient = pool.Acquire();
    REQUIRE(gradient->size() == kElements);
    REQUIRE(gpu->IsPinned(gradient->data()));
  }
  REQUIRE(fake_cuda::LiveObjects() == fake_cuda::Live{});
}

TEST_CASE("where no more memory can be pinned, ordinary memory will do") {
  const auto gpu = MakeGpu();
  fake_cuda::FailCall(fake_cuda::Call::kAllocateHost, 1,
                      cudaErrorMemoryAllocation);
  BlockBoard board(Plan(), gpu.get());
  REQUIRE_FALSE(gpu->IsPinned(board.Values(0).data()));
  REQUIRE(gpu->IsPinned(board.Values(1).data()));
  board.Values(0)[kElements - 1] = 1;
  fake_cuda::FailCall(fake_cuda::Call::kAllocateHost, 1,
                      cudaErrorMemoryAllocation);
  GradientPool pool(kElements, nullptr, gpu.get());
  const auto gradient = pool.Acquire();
  REQUIRE_FALSE(gpu->IsPinned(gradient->data()));
  gradient->data()[kElements - 1] = 1;
}

// A region that is detached would change its pages under the GPU.
TEST_CASE("shared memory is not pinned") {
  const auto gpu = MakeGpu();
  GradientPool pool(kElements, SharedRegion::Create(1 << 20).value(),
                    gpu.get());
  REQUIRE_FALSE(gpu->IsPinned(pool.Acquire()->data()));
}

}  // namespace
}  // namespace tessera
