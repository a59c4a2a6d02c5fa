// Written by some servers, read by others.

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "common/device/make_device.h"
#include "server/checkpoint/manifest.h"
#include "server/checkpoint/reader.h"
#include "server/checkpoint/writer.h"
#include "server/shard/kernels.h"
#include "tests/support/faulty_storage.h"
#include "tests/support/status.h"
#include "tests/support/test_job.h"
#include "tests/unit/checkpoint/test_sets.h"

namespace tessera {
namespace {

using absl::StatusCode;

TEST_CASE("a set comes back bit for bit", "[checkpoint]") {
  const std::string optimizer =
      GENERATE("sgd {}", "sgd { momentum: 0.9 }", "adamw {}");
  const int shards = GENERATE(1, 2, 3, 7);
  const int piece_elements = GENERATE(1, 5, 16, 1000);
  CAPTURE(optimizer, shards, piece_elements);
  FaultyStorage storage(1);
  REQUIRE(MakeFolders(storage, kRoot).ok());
  const TestSet set{
      .job = MakeTestJob({.parameters = 110, .optimizer = optimizer}),
      .shard_count = shards,
      .piece_elements = piece_elements};
  REQUIRE(WriteSet(storage, set).ok());
  CHECK(CheckSet(storage, FolderOf(set)).ok());
}

TEST_CASE("any interval can be read, across files and pieces", "[checkpoint]") {
  FaultyStorage storage(1);
  REQUIRE(MakeFolders(storage, kRoot).ok());
  const TestSet set{.job = AdamWTestJob(), .piece_elements = 7};
  REQUIRE(WriteSet(storage, set).ok());
  const auto reader = CheckpointReader::Open(storage, FolderOf(set));
  REQUIRE(reader.ok());
  for (int64_t begin = 0; begin <= 40; ++begin) {
    for (int64_t end = begin; end <= 40; ++end) {
      std::vector<float> values(static_cast<size_t>(end - begin));
      REQUIRE(reader->Read(1, {begin, end}, absl::MakeSpan(values)).ok());
      for (int64_t i = begin; i < end; ++i) {
        const float expected = ValueAt(set.version, 1, i);
        REQUIRE(std::memcmp(&values[static_cast<size_t>(i - begin)], &expected,
                            sizeof(float)) == 0);
      }
    }
  }
}

// From 3 servers to any number, each reading only its own.
TEST_CASE("a set restores onto any number of servers", "[checkpoint]") {
  FaultyStorage storage(1);
  REQUIRE(MakeFolders(storage, kRoot).ok());
  const TestSet set{
      .job = MakeTestJob(
          {.parameters = 110, .block_bytes = 64, .optimizer = "adamw {}"}),
      .shard_count = 3,
      .piece_elements = 16};
  REQUIRE(WriteSet(storage, set).ok());
  const auto reader = CheckpointReader::Open(storage, FolderOf(set));
  REQUIRE(reader.ok());
  const int shards = GENERATE(1, 2, 4, 5, 7);
  const int64_t block_bytes = GENERATE(4, 12, 64);
  const auto plan = ShardPlan::Create(110, shards, block_bytes);
  REQUIRE(plan.ok());
  for (int shard = 0; shard < shards; ++shard) {
    const Interval elements = plan->ShardElements(shard);
    for (int section = 0; section < 3; ++section) {
      std::vector<float> values(static_cast<size_t>(elements.size()));
      REQUIRE(reader->Read(section, elements, absl::MakeSpan(values)).ok());
      for (int64_t i = elements.begin; i < elements.end; ++i) {
        const float expected = ValueAt(set.version, section, i);
        REQUIRE(std::memcmp(&values[static_cast<size_t>(i - elements.begin)],
                            &expected, sizeof(float)) == 0);
      }
    }
  }
}

TEST_CASE("what is not in a set cannot be asked of it", "[checkpoint]") {
  FaultyStorage storage(1);
  REQUIRE(MakeFolders(storage, kRoot).ok());
  const TestSet set{.job = AdamWTestJob()};
  REQUIRE(WriteSet(storage, set).ok());
  const auto reader = CheckpointReader::Open(storage, FolderOf(set));
  REQUIRE(reader.ok());
  std::vector<float> values(5);
  const auto read = [&](int section, Interval elements) {
    return reader->Read(section, elements, absl::MakeSpan(values));
  };
  CHECK_THAT(read(3, {0, 5}), IsError(StatusCode::kInvalidArgument, "3 sect"));
  CHECK_THAT(read(-1, {0, 5}), IsError(StatusCode::kInvalidArgument));
  CHECK_THAT(read(0, {36, 41}), IsError(StatusCode::kInvalidArgument, "40"));
  CHECK_THAT(read(0, {-1, 4}), IsError(StatusCode::kInvalidArgument));
  CHECK_THAT(read(0, {0, 4}), IsError(StatusCode::kInvalidArgument, "5 val"));
}

TEST_CASE("the manifest carries the job, and names of files its shards",
          "[checkpoint]") {
  FaultyStorage storage(1);
  REQUIRE(MakeFolders(storage, kRoot).ok());
  const TestSet set{.job = AdamWTestJob()};
  REQUIRE(WriteSet(storage, set).ok());
  CHECK(storage.List(FolderOf(set)).value() ==
        std::vector<std::string>{"manifest", "shard-00000-of-00002",
                                 "shard-00001-of-00002"});
  const auto reader = CheckpointReader::Open(storage, FolderOf(set));
  REQUIRE(reader.ok());
  CHECK(reader->set() == IdentityOf(set));
  const auto job = JobOf(reader->manifest());
  REQUIRE(job.ok());
  CHECK(Job::Create(*job)->fingerprint() == set.job.fingerprint());
  CHECK(reader->bytes() ==
        static_cast<int64_t>(storage.Contents(FileOf(set, 0)).size() +
                             storage.Contents(FileOf(set, 1)).size()));
}

TEST_CASE("the source is told what it may let go of", "[checkpoint]") {
  FaultyStorage storage(1);
  REQUIRE(MakeFolders(storage, kRoot).ok());
  const TestSet set{.job = AdamWTestJob()};
  class Watching : public TestSource {
   public:
    using TestSource::TestSource;
    absl::Status Read(int section, const Interval& elements,
                      absl::Span<float> out) override {
      CHECK(elements.begin >= released());
      return TestSource::Read(section, elements, out);
    }
  } source(set.version);
  NoPacer pacer;
  REQUIRE(WriteShardFile(storage, kRoot, HeaderOf(set, 1), source, pacer).ok());
  CHECK(source.released() == 40);
}

TEST_CASE("errors of source and pacer end the writing", "[checkpoint]") {
  FaultyStorage storage(1);
  REQUIRE(MakeFolders(storage, kRoot).ok());
  const TestSet set{.job = AdamWTestJob()};
  class Failing : public CheckpointSource, public Pacer {
   public:
    absl::Status Read(int, const Interval&, absl::Span<float>) override {
      return absl::UnavailableError("the device is gone");
    }
    absl::Status Admit(int64_t) override {
      return absl::CancelledError("shutting down");
    }
  } failing;
  TestSource source(set.version);
  NoPacer pacer;
  const ShardHeader header = HeaderOf(set, 0);
  CHECK_THAT(WriteShardFile(storage, kRoot, header, failing, pacer).status(),
             IsError(StatusCode::kUnavailable, "device is gone"));
  CHECK_THAT(WriteShardFile(storage, kRoot, header, source, failing).status(),
             IsError(StatusCode::kCancelled, "shutting down"));
  // Nothing takes up space.
  CHECK(storage.List(FolderOf(set)).value().empty());
}

TEST_CASE("slots are those of the server's optimizers", "[checkpoint]") {
  const std::string optimizer =
      GENERATE("sgd {}", "sgd { momentum: 0.9 nesterov: true }", "adamw {}");
  const Job job = MakeTestJob({.optimizer = optimizer});
  const auto device = MakeDevice("cpu");
  REQUIRE(device.ok());
  const auto kernels = MakeKernels(job, **device);
  REQUIRE(kernels.ok());
  CHECK(OptimizerStateOf(job.proto()).slots ==
        kernels->optimizer->slot_count());
}

}  // namespace
}  // namespace tessera
