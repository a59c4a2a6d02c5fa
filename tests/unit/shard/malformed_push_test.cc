// Whatever is wrong with a push, the answer says so and nothing has changed.

#include <catch2/catch.hpp>
#include <limits>
#include <string>
#include <vector>

#include "tests/support/status.h"
#include "tests/support/test_job.h"
#include "tests/unit/shard/test_shards.h"

namespace tessera {
namespace {

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Blocks of 16, 16 and 8 on two shards: 0 | 1, 2. M = 6. Every block is at
// version 1 and holds a partial sum, so that all there is could be spoilt.
struct Harness {
  explicit Harness(const std::string& optimizer = "adamw {}")
      : job(MakeTestJob(
            {.parameters = 40, .microbatches = 6, .optimizer = optimizer})),
        shards(job, MakeTestPlan(job, 2)) {
    shards.PushAll(0, {0, 6}, std::vector<float>(40, 1));
    shards.PushAll(1, {0, 4}, std::vector<float>(40, 1));
    hashes = shards.StateHashes();
  }

  // A push to shard 1 that is fine but for what a test spoils.
  Contribution good() const {
    return {.block = 1, .step = 1, .range = {4, 5}, .worker = WorkerId(7)};
  }

  absl::Status Push(const Contribution& contribution,
                    const std::vector<float>& values) {
    return shards.store(1)
        .Push(contribution, FragmentedBytes::OfFloats(values))
        .status();
  }
  absl::Status Push(const Contribution& contribution) {
    return Push(contribution, std::vector<float>(16, 1));
  }

  void RequireUnchanged() { REQUIRE(shards.StateHashes() == hashes); }

  const Job job;
  TestShards shards;
  std::vector<uint64_t> hashes;
};

TEST_CASE("the good push, of which the others are spoilt copies, changes it") {
  Harness h;
  REQUIRE_OK(h.Push(h.good()));
  REQUIRE(h.shards.StateHashes() != h.hashes);
}

TEST_CASE("a block of another shard, or of none") {
  Harness h;
  const int block =
      GENERATE(values<int>({-1, 0, 3, std::numeric_limits<int>::max()}));
  Contribution c = h.good();
  c.block = block;
  REQUIRE_ERROR(h.Push(c), kInvalid, "block " + std::to_string(block),
                "shard 1", "[1, 3)");
  h.RequireUnchanged();
}

TEST_CASE("a range that is no node of the tree") {
  Harness h;
  const MicrobatchRange range =
      GENERATE(values<MicrobatchRange>({{0, 0},
                                        {4, 4},
                                        {3, 2},
                                        {-1, 1},
                                        {1, 3},
                                        {0, 3},
                                        {2, 6},
                                        {0, 5},
                                        {4, 7},
                                        {6, 7},
                                        {0, 8},
                                        {0, 1 << 30}}));
  Contribution c = h.good();
  c.range = range;
  REQUIRE_ERROR(h.Push(c), kInvalid, "worker 7", "block 1", ToString(range),
                "6 microbatches");
  h.RequireUnchanged();
}

TEST_CASE("a payload of another length") {
  Harness h;
  const size_t bytes = GENERATE(0, 1, 60, 63, 65, 68, 128);
  const std::vector<uint8_t> payload(bytes, 0);
  REQUIRE_ERROR(h.shards.store(1).Push(
                    h.good(), FragmentedBytes(absl::MakeConstSpan(payload))),
                kInvalid, "worker 7", "block 1",
                std::to_string(bytes) + " bytes", "64");
  h.RequireUnchanged();
}

TEST_CASE("the last block is shorter, and takes its own length only") {
  Harness h;
  Contribution c = h.good();
  c.block = 2;
  REQUIRE_ERROR(h.Push(c), kInvalid, "block 2", "64 bytes", "32");
  h.RequireUnchanged();
  REQUIRE_OK(h.Push(c, std::vector<float>(8)));
}

TEST_CASE("a value that is no number, wherever it is") {
  Harness h(GENERATE("sgd {}", "sgd { momentum: 0.9 }", "adamw {}"));
  const float value =
      GENERATE(values<float>({kNan, -kNan, kInfinity, -kInfinity}));
  const size_t index = GENERATE(0, 5, 15);
  // Adding to what is held, completing, counted already, and past: none of them
  // goes through.
  const MicrobatchRange range =
      GENERATE(values<MicrobatchRange>({{4, 5}, {4, 6}, {0, 6}, {0, 2}}));
  const int64_t step = GENERATE(0, 1);
  std::vector<float> values(16, 1);
  values[index] = value;
  CAPTURE(value, index, ToString(range), step);
  Contribution c = h.good();
  c.range = range;
  c.step = step;
  REQUIRE_ERROR(h.Push(c, values), kInvalid, "worker 7", "block 1",
                "value " + std::to_string(index),
                "element " + std::to_string(16 + index));
  h.RequireUnchanged();
}

TEST_CASE("values that are too large for a sum with what is held") {
  Harness h(GENERATE("sgd {}", "sgd { momentum: 0.9 }", "adamw {}"));
  constexpr float kMax = std::numeric_limits<float>::max();
  REQUIRE_OK(h.Push(h.good(), std::vector<float>(16, kMax)));
  h.hashes = h.shards.StateHashes();
  Contribution c = h.good();
  c.range = {5, 6};
  std::vector<float> values(16, -1);
  values[GENERATE(0, 15)] = kMax;
  REQUIRE_ERROR(h.Push(c, values), kInvalid, "worker 7", "block 1", "[5, 6)",
                "step 1", "too large");
  h.RequireUnchanged();
  REQUIRE_OK(h.Push(c, std::vector<float>(16, -1)));
}

// As Harness, where gradients are rounded for the wire: 16 values take 32
// bytes.
struct RoundedHarness {
  absl::StatusOr<PushResult> Push(const MicrobatchRange& range,
                                  size_t bytes = 32, uint8_t fill = 0x3f) {
    const std::vector<uint8_t> payload(bytes, fill);
    return shards.store(0).Push(
        {.block = 0, .step = 0, .range = range, .worker = WorkerId(7)},
        FragmentedBytes(payload));
  }

  const Job job = MakeTestJob(
      {.parameters = 16, .microbatches = 4, .wire = "push: ENCODING_BFLOAT16"});
  TestShards shards{job, MakeTestPlan(job, 1)};
};

TEST_CASE("a range of several microbatches, where gradients are rounded") {
  RoundedHarness h;
  const uint64_t before = h.shards.StateHashes()[0];
  const MicrobatchRange range =
      GENERATE(values<MicrobatchRange>({{0, 2}, {2, 4}, {0, 4}}));
  REQUIRE_ERROR(h.Push(range), kInvalid, "worker 7", ToString(range),
                "each microbatch", "by itself");
  REQUIRE(h.shards.StateHashes()[0] == before);
  REQUIRE_OK(h.Push({2, 3}));
}

TEST_CASE("a rounded payload of another length, or with an infinity") {
  RoundedHarness h;
  const uint64_t before = h.shards.StateHashes()[0];
  const size_t bytes = GENERATE(0, 31, 33, 64);
  REQUIRE_ERROR(h.Push({0, 1}, bytes), kInvalid,
                std::to_string(bytes) + " bytes", "32", "BFLOAT16");
  // 0x7f7f is the largest there is, 0xffff is NaN.
  REQUIRE_ERROR(h.Push({0, 1}, 32, 0xff), kInvalid, "value 0 is", "nan");
  REQUIRE(h.shards.StateHashes()[0] == before);
  REQUIRE_OK(h.Push({0, 1}, 32, 0x7f));
}

TEST_CASE("a loss that is no number") {
  Harness h;
  Contribution c = h.good();
  c.loss_sum = GENERATE(values<double>({kNan, -kInfinity}));
  REQUIRE_ERROR(h.Push(c), kInvalid, "worker 7", "block 1", "loss");
  h.RequireUnchanged();
}

TEST_CASE("a step in the future") {
  Harness h;
  const int64_t step =
      GENERATE(values<int64_t>({2, 3, std::numeric_limits<int64_t>::max()}));
  Contribution c = h.good();
  c.step = step;
  REQUIRE_ERROR(h.Push(c), absl::StatusCode::kOutOfRange,
                "block 1 is at version 1", std::to_string(step), "worker 7");
  h.RequireUnchanged();
}

TEST_CASE("a negative step") {
  Harness h;
  Contribution c = h.good();
  c.step = GENERATE(values<int64_t>({-1, std::numeric_limits<int64_t>::min()}));
  REQUIRE_ERROR(h.Push(c), kInvalid, "worker 7", "step", "negative");
  h.RequireUnchanged();
}

TEST_CASE("a step in the past was counted") {
  Harness h;
  Contribution c = h.good();
  c.step = 0;
  const auto pushed = h.shards.store(1).Push(
      c, FragmentedBytes::OfFloats(std::vector<float>(16, 1)));
  REQUIRE_OK(pushed);
  REQUIRE(pushed->outcome == PushOutcome::kDuplicate);
  REQUIRE(pushed->newest_version == 1);
  h.RequireUnchanged();
}

TEST_CASE("other bytes for a key that was counted") {
  Harness h;
  Contribution c = h.good();
  c.range = {0, 4};
  REQUIRE_ERROR(h.shards.store(1).Push(
                    c, FragmentedBytes::OfFloats(std::vector<float>(16, 100))),
                absl::StatusCode::kAlreadyExists, "worker 7", "worker 1",
                "block 1", "step 1", "[0, 4)");
  h.RequireUnchanged();
}

TEST_CASE("what was counted already, within a larger range") {
  Harness h;
  Contribution c = h.good();
  c.range = GENERATE(values<MicrobatchRange>({{0, 2}, {3, 4}}));
  const auto pushed = h.shards.store(1).Push(
      c, FragmentedBytes::OfFloats(std::vector<float>(16, 100)));
  REQUIRE_OK(pushed);
  REQUIRE(pushed->outcome == PushOutcome::kDuplicate);
  h.RequireUnchanged();
}

}  // namespace
}  // namespace tessera
