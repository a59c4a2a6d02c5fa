#include "server/shard/block_state.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <vector>

#include "common/device/make_device.h"
#include "server/shard/kernels.h"
#include "tests/support/status.h"
#include "tests/support/test_job.h"
#include "tests/unit/shard/test_shards.h"

namespace tessera {
namespace {

constexpr int kElements = 40;

struct Harness {
  Harness() { std::ranges::fill(state.initial_values(), 1.0f); }

  void Advance(int64_t step) {
    const std::vector<float> gradient = TestGradient(step, 0, kElements);
    GradientSum sum;
    sum.payload = FragmentedBytes::OfFloats(gradient);
    REQUIRE_OK(state.Advance(sum));
  }

  Job job = MakeTestJob({.parameters = kElements, .optimizer = "adamw {}"});
  std::unique_ptr<Device> device = *MakeDevice("cpu");
  Kernels kernels = *MakeKernels(job, *device);
  std::unique_ptr<Stream> stream = *device->CreateStream();
  BufferPool values{*device, MemoryKind::kHost};
  BufferPool slots{*device, MemoryKind::kDevice};
  BlockState state = *BlockState::Create(kElements, *kernels.optimizer,
                                         {&values, &slots}, *stream);
};

std::vector<float> Copy(const BufferRef& buffer) {
  return {buffer.floats(), buffer.floats() + kElements};
}

TEST_CASE("a snapshot keeps its version while the block moves on") {
  Harness h;
  h.Advance(0);
  const BlockSnapshot snapshot = h.state.Snapshot();
  REQUIRE(snapshot.parameters.version == 1);
  const std::vector<float> values = Copy(*snapshot.parameters.values);
  const std::vector<float> first = Copy(snapshot.slots[0]);
  const std::vector<float> second = Copy(snapshot.slots[1]);
  h.Advance(1);
  h.Advance(2);
  REQUIRE(Copy(*snapshot.parameters.values) == values);
  REQUIRE(Copy(snapshot.slots[0]) == first);
  REQUIRE(Copy(snapshot.slots[1]) == second);
  REQUIRE(Copy(h.state.Snapshot().slots[0]) != first);

  Harness undisturbed;
  for (int64_t step = 0; step < 3; ++step) undisturbed.Advance(step);
  const BlockSnapshot end = h.state.Snapshot();
  const BlockSnapshot expected = undisturbed.state.Snapshot();
  REQUIRE(Copy(*end.parameters.values) == Copy(*expected.parameters.values));
  REQUIRE(Copy(end.slots[1]) == Copy(expected.slots[1]));
}

TEST_CASE("a steady block uses the same memory over and over") {
  Harness h;
  for (int64_t step = 0; step < 20; ++step) {
    h.Advance(step);
    h.state.ReleasePrevious();
  }
  constexpr int64_t kBytes = kElements * sizeof(float);
  REQUIRE(h.slots.usage().total_bytes == 2 * kBytes);
  REQUIRE(h.values.usage().total_bytes == 2 * kBytes);
}

TEST_CASE("the newest two versions are held, the older until let go") {
  Harness h;
  REQUIRE(h.state.previous().values == nullptr);
  const std::vector<float> initial = Copy(*h.state.newest().values);
  h.Advance(0);
  REQUIRE(h.state.newest().version == 1);
  REQUIRE(h.state.previous().version == 0);
  REQUIRE(Copy(*h.state.previous().values) == initial);
  h.state.ReleasePrevious();
  REQUIRE(h.state.previous().values == nullptr);
  REQUIRE(h.state.newest().version == 1);
}

}  // namespace
}  // namespace tessera
