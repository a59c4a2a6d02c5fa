// What is asked for, and what is planned.

#include "worker/bench/options.h"

#include <catch2/catch.hpp>

#include "tests/support/status.h"
#include "worker/bench/calibration.h"
#include "worker/bench/plan.h"
#include "worker/bench/progress_line.h"
#include "worker/bench/scaling_plan.h"

namespace tessera::bench {
namespace {

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
constexpr int64_t kPlenty = int64_t{1} << 50;

TEST_CASE("sizes are read with and without units") {
  REQUIRE(ParseBytes("65536").value() == 65536);
  REQUIRE(ParseBytes("4KiB").value() == 4096);
  REQUIRE(ParseBytes("1.5 MiB").value() == 3 << 19);
  REQUIRE(ParseBytes("1gib").value() == 1 << 30);
  REQUIRE(ParseBytes("100B").value() == 100);
  REQUIRE(ParseBytes("67108864").value() == 64 << 20);
  for (const char* bad : {"", "x", "-4KiB", "0", "1.3B", "4KB", "nan", "1e99",
                          "4 4", "99999999999999999999"}) {
    CAPTURE(bad);
    REQUIRE_THAT(StatusOf(ParseBytes(bad)), IsError(kInvalid, bad));
  }
}

TEST_CASE("lists name the item that cannot be") {
  REQUIRE(ParseMessageSizes("4KiB, 1MiB").value() ==
          std::vector<int64_t>{4096, 1 << 20});
  REQUIRE_THAT(StatusOf(ParseMessageSizes("4KiB,100")),
               IsError(kInvalid, "100", "64"));
  REQUIRE(ParseShapes("1x1,16x2").value() ==
          std::vector<Shape>{{1, 1}, {16, 2}});
  for (const char* bad : {"1", "1x", "0x1", "1x0", "2x2x2", "65x1", "ax1"}) {
    CAPTURE(bad);
    REQUIRE_FALSE(ParseShapes(bad).ok());
  }
  REQUIRE(ParseOperations("push-pull,pull").value() ==
          std::vector<Operation>{Operation::kPushPull, Operation::kPull});
  REQUIRE_THAT(StatusOf(ParseOperations("pushpull")),
               IsError(kInvalid, "pushpull", "push-pull"));
  REQUIRE(ParseTransports("shm,tcp").value() ==
          std::vector<Path>{Path::kShared, Path::kSharedInPlace, Path::kTcp});
  REQUIRE_FALSE(ParseTransports("raw tcp").ok());
  REQUIRE(ParseEncodings("bfloat16").value() ==
          std::vector<v1::Encoding>{v1::ENCODING_BFLOAT16});
  REQUIRE_FALSE(ParseEncodings("fp16").ok());
  REQUIRE(ParseCounts("1,16", 16).value() == std::vector<int>{1, 16});
  REQUIRE_FALSE(ParseCounts("17", 16).ok());
}

TEST_CASE(
    "blocks fill the set, are four at least, and the same on each server") {
  REQUIRE(BlocksFor(4096, 1, 16 << 20) == 4096);
  REQUIRE(BlocksFor(1 << 20, 1, 16 << 20) == 16);
  REQUIRE(BlocksFor(64 << 20, 1, 16 << 20) == 4);
  REQUIRE(BlocksFor(64 << 20, 3, 16 << 20) == 6);
  REQUIRE(BlocksFor(64 << 20, 8, 16 << 20) == 8);
  REQUIRE(BlocksFor(3 << 20, 1, 16 << 20) == 6);
}

TEST_CASE("single calls go to every server, and not to too much memory") {
  const auto blocks = [](int64_t bytes, int servers) {
    return LatencyBlocks({.message_bytes = bytes,
                          .blocks = BlocksFor(bytes, servers, 16 << 20),
                          .shape = {1, servers}});
  };
  REQUIRE(blocks(4096, 1) == 16);
  REQUIRE(blocks(4 << 20, 1) == 4);
  REQUIRE(blocks(64 << 20, 1) == 1);
  REQUIRE(blocks(64 << 20, 2) == 2);
  REQUIRE(blocks(4096, 3) == 18);
}

BenchOptions SmallOptions() {
  return {.message_bytes = {4096, 1 << 20},
          .shapes = {{1, 1}, {3, 2}},
          .operations = {Operation::kPush, Operation::kPushPull},
          .paths = {Path::kTcp, Path::kShared, Path::kSharedInPlace},
          .encodings = {v1::ENCODING_FLOAT32}};
}

TEST_CASE("the ceiling comes first for each operation, in every group") {
  const MatrixPlan plan = PlanMatrix(SmallOptions(), kPlenty);
  REQUIRE(plan.groups.size() == 4);
  REQUIRE(plan.left_out.empty());
  const std::vector<Series> expected = {
      {Operation::kPush, Path::kRawTcp},
      {Operation::kPush, Path::kTcp},
      {Operation::kPush, Path::kShared},
      {Operation::kPushPull, Path::kRawTcp},
      {Operation::kPushPull, Path::kTcp},
      {Operation::kPushPull, Path::kShared},
      {Operation::kPushPull, Path::kSharedInPlace}};
  for (const Group& group : plan.groups) {
    REQUIRE(group.throughput == expected);
    // And the ceiling's two round trips, for latency.
    REQUIRE(group.latency.size() == expected.size() + 1);
  }
  REQUIRE(plan.groups[0].in_flight == 64);
  REQUIRE(plan.groups[1].in_flight == 16);
}

TEST_CASE("the baseline has only float32") {
  BenchOptions options = SmallOptions();
  options.baseline = true;
  options.shapes = {{1, 1}};
  options.message_bytes = {4096};
  options.encodings = {v1::ENCODING_FLOAT32, v1::ENCODING_BFLOAT16};
  const MatrixPlan plan = PlanMatrix(options, kPlenty);
  REQUIRE(plan.groups.size() == 2);
  const auto has_baseline = [](const Group& group) {
    for (const Series& series : group.throughput) {
      if (series.path == Path::kGrpcDefaults) return true;
    }
    return false;
  };
  REQUIRE(has_baseline(plan.groups[0]));
  REQUIRE_FALSE(has_baseline(plan.groups[1]));
}

TEST_CASE("what does not fit or cannot be is left out, with the reason") {
  BenchOptions options = SmallOptions();
  options.message_bytes = {4096, 64 << 20};
  options.encodings = {v1::ENCODING_FLOAT32, v1::ENCODING_BFLOAT16};
  const MatrixPlan plan = PlanMatrix(options, int64_t{1} << 30);
  // 4 KiB: 1x1 in both encodings, 3x2 in one.
  REQUIRE(plan.groups.size() == 3);
  REQUIRE(plan.left_out.size() == 5);
  REQUIRE(plan.left_out[0].find("64 MiB 1x1") != std::string::npos);
  REQUIRE(plan.left_out[0].find("memory") != std::string::npos);
  REQUIRE(plan.left_out[3].find("4 KiB 3x2 bfloat16") != std::string::npos);
}

TEST_CASE("the default matrix is planned for less than two minutes") {
  BenchOptions options = SmallOptions();
  options.message_bytes =
      ParseMessageSizes("4KiB,64KiB,256KiB,1MiB,4MiB,16MiB,64MiB").value();
  options.shapes = {{1, 1}, {2, 2}};
  options.operations = {Operation::kPushPull};
  const MatrixPlan plan = PlanMatrix(options, kPlenty);
  REQUIRE(EstimateSeconds(plan, options) < 120);
}

TEST_CASE("a run's length follows from a shorter one's") {
  REQUIRE(StepsFor(1, 0.01, 0.1) == 10);
  REQUIRE(StepsFor(10, 0.2, 0.1) == 5);
  REQUIRE(StepsFor(1, 3, 0.1) == 1);
  // A run that took no time says little.
  REQUIRE(StepsFor(1, 0, 0.1) == 64);
}

TEST_CASE("each quantity grows by itself") {
  const ScalingPlan plan = PlanScaling({.servers = {1, 8},
                                        .workers = {1, 16},
                                        .parameter_bytes = {1 << 20, 1 << 30}},
                                       kPlenty);
  REQUIRE(plan.points.size() == 6);
  REQUIRE(plan.points[0].setting.shape == Shape{2, 2});
  REQUIRE(plan.points[1].setting.total_bytes() == 1 << 30);
  REQUIRE(plan.points[3].setting.shape == Shape{2, 8});
  REQUIRE(plan.points[5].setting.shape == Shape{16, 2});
  for (const ScalingPoint& point : plan.points) {
    REQUIRE(point.setting.blocks >= 4 * point.setting.shape.servers);
    REQUIRE(point.setting.message_bytes <= 1 << 20);
  }
}

TEST_CASE("scaling leaves out what memory does not hold") {
  const ScalingPlan plan = PlanScaling(
      {.servers = {1}, .workers = {1}, .parameter_bytes = {1 << 20, 1 << 30}},
      int64_t{4} << 30);
  REQUIRE(plan.points.size() == 3);
  REQUIRE(plan.left_out.size() == 1);
  REQUIRE(plan.left_out[0].find("1 GiB") != std::string::npos);
}

TEST_CASE("a server may take 12 bytes for a parameter, and the optimizer's") {
  REQUIRE(ShardBoundBytes(1000, 0) == 12000);
  REQUIRE(ShardBoundBytes(1000, 8000) == 20000);
}

TEST_CASE("the progress bar fits its width") {
  const std::string bar = ProgressBar(0.5, absl::Seconds(61), "1 MiB 2x2", 79);
  REQUIRE(bar.find("50%  1:01 left  1 MiB 2x2") != std::string::npos);
  REQUIRE(ProgressBar(2, -absl::Seconds(1), "x", 79).find("100%  0:00") !=
          std::string::npos);
  REQUIRE(ProgressBar(0.5, absl::Seconds(1), "x", 10).size() == 10);
}

}  // namespace
}  // namespace tessera::bench
