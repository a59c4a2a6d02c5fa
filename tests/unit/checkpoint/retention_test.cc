#include <catch2/catch.hpp>
#include <optional>
#include <string>
#include <vector>

#include "server/checkpoint/sets.h"
#include "tests/support/faulty_storage.h"
#include "tests/support/status.h"
#include "tests/unit/checkpoint/test_sets.h"

namespace tessera {
namespace {

using absl::StatusCode;

TestSet SetOfVersion(int64_t version, uint64_t set_id = 1) {
  return {.job = AdamWTestJob(),
          .version = version,
          .set_id = CheckpointSetId(set_id)};
}

class Fixture {
 public:
  explicit Fixture(const std::vector<int64_t>& versions) : storage(1) {
    REQUIRE(MakeFolders(storage, kRoot).ok());
    for (const int64_t version : versions) {
      REQUIRE(WriteSet(storage, SetOfVersion(version)).ok());
    }
  }

  // An attempt that ended before its manifest.
  void WriteHalf(int64_t version) {
    TestSource source(version);
    NoPacer pacer;
    REQUIRE(WriteShardFile(storage, kRoot, HeaderOf(SetOfVersion(version), 0),
                           source, pacer)
                .ok());
  }

  void Damage(int64_t version) {
    storage.SetContents(FileOf(SetOfVersion(version), 0), "short");
  }

  // Versions of the folders that are left after keeping `keep`.
  std::vector<int64_t> Left(int keep, int64_t acknowledged) {
    const auto applied = ApplyRetention(
        storage, kRoot,
        {.keep = keep, .acknowledged = {acknowledged, CheckpointSetId(1)}});
    REQUIRE(applied.ok());
    storage.Restart();  // What it did lasts.
    std::vector<int64_t> versions;
    const auto names = storage.List(kRoot);
    REQUIRE(names.ok());
    for (const std::string& name : *names) {
      versions.push_back(ParseSetFolderName(name)->version);
    }
    return versions;
  }

  FaultyStorage storage;
};

using Versions = std::vector<int64_t>;

TEST_CASE("sets are found newest first, with reasons for the rest", "[sets]") {
  Fixture fixture({5, 1000, 30});
  fixture.WriteHalf(40);
  fixture.Damage(30);
  REQUIRE(fixture.storage.MakeFolder("ckpt/lost+found").ok());
  const auto found = FindSets(fixture.storage, kRoot);
  REQUIRE(found.ok());
  REQUIRE(found->complete.size() == 2);
  CHECK(found->complete[0].set().version == 1000);
  CHECK(found->complete[1].set().version == 5);
  REQUIRE(found->incomplete.size() == 2);
  CHECK(found->incomplete[0].name.version == 40);
  CHECK_THAT(found->incomplete[0].why,
             IsError(StatusCode::kNotFound, "manifest"));
  CHECK_THAT(found->incomplete[1].why,
             IsError(StatusCode::kDataLoss, "shard-00000", "found 5"));
}

TEST_CASE("no folder is an error, an empty one is not", "[sets]") {
  FaultyStorage storage(1);
  CHECK_THAT(FindSets(storage, kRoot).status(),
             IsError(StatusCode::kNotFound, kRoot));
  REQUIRE(storage.MakeFolder(kRoot).ok());
  CHECK(FindSets(storage, kRoot)->complete.empty());
}

TEST_CASE("the newest so many are kept", "[retention]") {
  Fixture fixture({10, 20, 30, 40});
  CHECK(fixture.Left(3, 40) == Versions{20, 30, 40});
  CHECK(fixture.Left(1, 40) == Versions{40});
  CHECK(fixture.Left(9, 40) == Versions{40});
}

TEST_CASE("what was given up goes, once it is older", "[retention]") {
  Fixture fixture({10, 20, 30});
  fixture.WriteHalf(25);
  fixture.WriteHalf(30 + 5);
  CHECK(fixture.Left(2, 30) == Versions{20, 30, 35});
}

TEST_CASE("a damaged set does not count, and stays while it is recent",
          "[retention]") {
  Fixture fixture({10, 20, 30, 40});
  fixture.Damage(30);
  CHECK(fixture.Left(2, 40) == Versions{20, 30, 40});
  CHECK(fixture.Left(1, 40) == Versions{40});
}

// Two of three are complete then, so nothing says that the third is too many.
TEST_CASE("a set that cannot be read for a moment does not go", "[retention]") {
  bool failed = true;
  for (int64_t n = 1; failed; ++n) {
    CAPTURE(n);
    Fixture fixture({10, 20, 30});
    const int64_t before = fixture.storage.operations();
    fixture.storage.FailNth(std::nullopt, n, absl::UnknownError("I/O error"));
    ApplyRetention(fixture.storage, kRoot,
                   {.keep = 3, .acknowledged = {30, CheckpointSetId(1)}})
        .IgnoreError();
    failed = n <= fixture.storage.operations() - before;
    fixture.storage.Restart();
    CHECK(FindSets(fixture.storage, kRoot)->complete.size() == 3);
  }
}

// Training went back from 30, which was found damaged, and came to 25.
TEST_CASE("sets above the acknowledged one do not push it out", "[retention]") {
  Fixture fixture({10, 20, 25, 30});
  CHECK(fixture.Left(1, 25) == Versions{25, 30});
}

TEST_CASE("of two sets of one version the acknowledged one is kept",
          "[retention]") {
  Fixture fixture({10, 20});
  REQUIRE(WriteSet(fixture.storage, SetOfVersion(20, 2)).ok());
  CHECK(fixture.Left(1, 20) == Versions{20});
  CHECK(CheckSet(fixture.storage, FolderOf(SetOfVersion(20))).ok());
}

TEST_CASE("nothing goes while the acknowledged set is not whole",
          "[retention]") {
  Fixture fixture({10, 20, 30});
  fixture.Damage(30);
  CHECK_THAT(
      ApplyRetention(fixture.storage, kRoot,
                     {.keep = 1, .acknowledged = {30, CheckpointSetId(1)}})
          .status(),
      IsError(StatusCode::kFailedPrecondition, "checkpoint-00"));
  CHECK(fixture.storage.List(kRoot).value().size() == 3);
}

// A set of which a part is gone must not have a manifest.
TEST_CASE("a crash in the middle of a removal leaves no half set",
          "[retention]") {
  for (uint64_t seed = 0; seed < 10; ++seed) {
    for (int64_t n = 1;; ++n) {
      CAPTURE(seed, n);
      FaultyStorage storage(seed);
      REQUIRE(MakeFolders(storage, kRoot).ok());
      REQUIRE(WriteSet(storage, SetOfVersion(10)).ok());
      REQUIRE(WriteSet(storage, SetOfVersion(20)).ok());
      storage.CrashAtOperation(n);
      const RetentionOptions options{.keep = 1,
                                     .acknowledged = {20, CheckpointSetId(1)}};
      ApplyRetention(storage, kRoot, options).IgnoreError();
      if (!storage.is_down()) break;
      storage.Restart();
      const auto found = FindSets(storage, kRoot);
      REQUIRE(found.ok());
      for (const IncompleteSet& set : found->incomplete) {
        CHECK_THAT(set.why, IsError(StatusCode::kNotFound, "manifest"));
      }
      for (const CheckpointReader& reader : found->complete) {
        CHECK(CheckValues(reader) == absl::OkStatus());
      }
      // The next time round it is finished.
      REQUIRE(ApplyRetention(storage, kRoot, options).ok());
      CHECK(storage.List(kRoot).value().size() == 1);
    }
  }
}

}  // namespace
}  // namespace tessera
