#include "server/shard/block_state.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <limits>
#include <vector>

#include "common/device/make_device.h"
#include "common/tensor/bfloat16.h"
#include "server/shard/kernels.h"
#include "tests/support/status.h"
#include "tests/support/test_job.h"
#include "tests/unit/shard/test_shards.h"

namespace tessera {
namespace {

constexpr int kElements = 40;

struct Harness {
  explicit Harness(v1::Encoding pull_encoding = v1::ENCODING_FLOAT32)
      : state(*BlockState::Create(
            kElements,
            [](absl::Span<float> filled) {
              std::ranges::fill(filled, 1.0f / 3);
            },
            pull_encoding, *kernels.optimizer, {&values, &slots}, *stream)) {}

  // Whether the step was taken.
  bool Advance(const std::vector<float>& gradient) {
    const GradientSum sum{.payload = FragmentedBytes::OfFloats(gradient)};
    const auto advanced = state.Advance(sum);
    REQUIRE_OK(advanced);
    return *advanced;
  }
  void Advance(int64_t step) {
    REQUIRE(Advance(TestGradient(step, 0, kElements)));
  }

  Job job = MakeTestJob({.parameters = kElements, .optimizer = "adamw {}"});
  std::unique_ptr<Device> device = *MakeDevice("cpu");
  Kernels kernels = *MakeKernels(job, *device);
  std::unique_ptr<Stream> stream = *device->CreateStream();
  BufferPool values{*device, MemoryKind::kHost};
  BufferPool slots{*device, MemoryKind::kDevice};
  BlockState state;
};

std::vector<float> Copy(const BufferRef& buffer) {
  return {buffer.floats(), buffer.floats() + kElements};
}

TEST_CASE("a snapshot keeps its version while the block moves on") {
  Harness h;
  h.Advance(0);
  const BlockSnapshot snapshot = h.state.Snapshot();
  REQUIRE(snapshot.parameters.version == 1);
  const std::vector<float> values = Copy(snapshot.parameters.buffers->values);
  const std::vector<float> first = Copy(snapshot.slots[0]);
  const std::vector<float> second = Copy(snapshot.slots[1]);
  h.Advance(1);
  h.Advance(2);
  REQUIRE(Copy(snapshot.parameters.buffers->values) == values);
  REQUIRE(Copy(snapshot.slots[0]) == first);
  REQUIRE(Copy(snapshot.slots[1]) == second);
  REQUIRE(Copy(h.state.Snapshot().slots[0]) != first);

  Harness undisturbed;
  for (int64_t step = 0; step < 3; ++step) undisturbed.Advance(step);
  const BlockSnapshot end = h.state.Snapshot();
  const BlockSnapshot expected = undisturbed.state.Snapshot();
  REQUIRE(Copy(end.parameters.buffers->values) ==
          Copy(expected.parameters.buffers->values));
  REQUIRE(Copy(end.slots[1]) == Copy(expected.slots[1]));
}

TEST_CASE("a steady block uses the same memory over and over") {
  Harness h;
  for (int64_t step = 0; step < 20; ++step) {
    h.Advance(step);
    h.state.ReleasePrevious();
  }
  constexpr int64_t kBytes = kElements * sizeof(float);
  // Two slots, and what the next ones are written to.
  REQUIRE(h.slots.usage().total_bytes == 4 * kBytes);
  REQUIRE(h.slots.usage().in_use_bytes == 2 * kBytes);
  REQUIRE(h.values.usage().total_bytes == 2 * kBytes);
}

TEST_CASE("the newest two versions are held, the older until let go") {
  Harness h;
  REQUIRE(h.state.previous().buffers == nullptr);
  const std::vector<float> initial = Copy(h.state.newest().buffers->values);
  h.Advance(0);
  REQUIRE(h.state.newest().version == 1);
  REQUIRE(h.state.previous().version == 0);
  REQUIRE(Copy(h.state.previous().buffers->values) == initial);
  h.state.ReleasePrevious();
  REQUIRE(h.state.previous().buffers == nullptr);
  REQUIRE(h.state.newest().version == 1);
}

// What a client makes of a payload.
std::vector<float> Expand(const VersionedValues& version) {
  std::vector<float> values(kElements);
  ExpandBfloat16(FragmentedBytes(version.payload()), values.data());
  return values;
}

std::vector<float> Rounded(absl::Span<const float> values) {
  std::vector<float> rounded;
  for (float value : values) {
    rounded.push_back(FromBfloat16(ToBfloat16(value)));
  }
  return rounded;
}

TEST_CASE("where pulls are float32 the payload is the values' own memory") {
  Harness h;
  h.Advance(0);
  const VersionedValues& newest = h.state.newest();
  REQUIRE(static_cast<const void*>(newest.payload().data()) ==
          newest.values().data());
  REQUIRE(newest.payload().size() == kElements * sizeof(float));
}

TEST_CASE("where pulls are rounded each version has both, from the first on") {
  Harness h(v1::ENCODING_BFLOAT16);
  Harness exact;
  for (int64_t step = 0; step < 4; ++step) {
    CAPTURE(step);
    const VersionedValues& newest = h.state.newest();
    REQUIRE(newest.payload().size() == kElements * kBfloat16Bytes);
    REQUIRE(Expand(newest) == Rounded(newest.values()));
    // Rounding goes no further than the payload.
    REQUIRE(newest.values() == exact.state.newest().values());
    h.Advance(step);
    exact.Advance(step);
  }
  // As long as someone holds the version, it holds both.
  const VersionedValues held = h.state.newest();
  const std::vector<float> before = Expand(held);
  for (int64_t step = 4; step < 8; ++step) h.Advance(step);
  REQUIRE(Expand(held) == before);
}

TEST_CASE("rounded payloads need no more than two versions in a steady block") {
  Harness h(v1::ENCODING_BFLOAT16);
  for (int64_t step = 0; step < 20; ++step) {
    h.Advance(step);
    h.state.ReleasePrevious();
  }
  REQUIRE(h.values.usage().total_bytes ==
          2 * kElements * (sizeof(float) + kBfloat16Bytes));
}

TEST_CASE("a gradient that is not finite leaves everything as it was") {
  const v1::Encoding pull =
      GENERATE(v1::ENCODING_FLOAT32, v1::ENCODING_BFLOAT16);
  Harness h(pull);
  h.Advance(0);
  const BlockSnapshot before = h.state.Snapshot();
  const std::vector<float> slot = Copy(before.slots[0]);
  std::vector<float> gradient(kElements, 1);
  gradient[kElements - 1] =
      GENERATE(values<float>({std::numeric_limits<float>::quiet_NaN(),
                              std::numeric_limits<float>::infinity()}));
  REQUIRE_FALSE(h.Advance(gradient));
  REQUIRE(h.state.newest().version == 1);
  REQUIRE(h.state.newest().buffers == before.parameters.buffers);
  REQUIRE(h.state.previous().version == 0);
  REQUIRE(Copy(h.state.Snapshot().slots[0]) == slot);
  h.Advance(1);
  REQUIRE(h.state.newest().version == 2);
}

TEST_CASE("a state goes on from a version that was reached elsewhere") {
  Harness h;
  h.Advance(0);
  h.Advance(1);
  const BlockSnapshot from = h.state.Snapshot();
  const auto fill = [&from](int section, absl::Span<float> to) {
    const std::vector<float> values =
        section == 0 ? Copy(from.parameters.buffers->values)
                     : Copy(from.slots[static_cast<size_t>(section - 1)]);
    std::ranges::copy(values, to.begin());
    return absl::OkStatus();
  };
  Harness other;
  auto restored = BlockState::Restore(
      kElements, 2, fill, v1::ENCODING_FLOAT32, *other.kernels.optimizer,
      {&other.values, &other.slots}, *other.stream);
  REQUIRE_OK(restored);
  other.state = *std::move(restored);
  REQUIRE(other.state.newest().version == 2);
  REQUIRE(other.state.previous().buffers == nullptr);
  // AdamW's step depends on all of it, its number too.
  h.Advance(2);
  other.Advance(2);
  REQUIRE(other.state.newest().version == 3);
  REQUIRE(other.state.newest().values() == h.state.newest().values());
  REQUIRE(Copy(other.state.Snapshot().slots[1]) ==
          Copy(h.state.Snapshot().slots[1]));
}

TEST_CASE("what a state lets go is free, but for what is held elsewhere") {
  Harness h(v1::ENCODING_BFLOAT16);
  h.Advance(0);
  const VersionedValues held = h.state.newest();
  h.state.LetGo();
  REQUIRE_FALSE(h.state.has_values());
  REQUIRE(h.state.newest().version == 1);
  REQUIRE(h.slots.usage().in_use_bytes == 0);
  REQUIRE(h.values.usage().in_use_bytes ==
          kElements * (sizeof(float) + kBfloat16Bytes));
  REQUIRE(Expand(held) == Rounded(held.values()));
}

}  // namespace
}  // namespace tessera
