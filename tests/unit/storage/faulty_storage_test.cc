// The crash model itself: a model that loses too little proves nothing.

#include "tests/support/faulty_storage.h"

#include <catch2/catch.hpp>
#include <memory>
#include <set>
#include <string>

#include "tests/support/status.h"

namespace tessera {
namespace {

constexpr int kSeeds = 200;

std::unique_ptr<WritableFile> Create(FaultyStorage& storage,
                                     const std::string& path) {
  auto file = storage.CreateFile(path);
  REQUIRE(file.ok());
  return *std::move(file);
}

// "-" for a file that is not there.
std::string ContentsOf(FaultyStorage& storage, const std::string& path) {
  auto contents = ReadWholeFile(storage, path, 1 << 20);
  return contents.ok() ? *contents : "-";
}

// What is left of `path` after a crash, over many seeds.
template <typename Prepare>
std::set<std::string> Outcomes(const std::string& path, Prepare prepare) {
  std::set<std::string> outcomes;
  for (int seed = 0; seed < kSeeds; ++seed) {
    FaultyStorage storage(seed);
    prepare(storage);
    storage.Restart();
    outcomes.insert(ContentsOf(storage, path));
  }
  return outcomes;
}

using Set = std::set<std::string>;

TEST_CASE("file and folder synced: it lasts", "[faulty]") {
  CHECK(Outcomes("f", [](FaultyStorage& storage) {
          auto file = Create(storage, "f");
          REQUIRE(file->Append("data").ok());
          REQUIRE(file->Sync().ok());
          REQUIRE(file->Close().ok());
          REQUIRE(storage.SyncFolder(".").ok());
        }) == Set{"data"});
}

TEST_CASE("folder not synced: the name may be gone", "[faulty]") {
  CHECK(Outcomes("f", [](FaultyStorage& storage) {
          auto file = Create(storage, "f");
          REQUIRE(file->Append("data").ok());
          REQUIRE(file->Sync().ok());
        }) == Set{"-", "data"});
}

TEST_CASE("file not synced: data is lost, torn, reordered", "[faulty]") {
  const std::string a(512, 'a'), b(512, 'b'), zeros(512, '\0');
  const Set outcomes = Outcomes("f", [&](FaultyStorage& storage) {
    auto file = Create(storage, "f");
    REQUIRE(storage.SyncFolder(".").ok());
    REQUIRE(file->Append(a).ok());
    REQUIRE(file->Append(b).ok());
    REQUIRE(file->Close().ok());
  });
  CHECK(outcomes.contains(""));
  CHECK(outcomes.contains(a));
  CHECK(outcomes.contains(a + b));
  CHECK(outcomes.contains(zeros + b));
  CHECK(outcomes.size() > 4);  // Torn sectors.
}

TEST_CASE("rename not synced: old or new, in any order", "[faulty]") {
  const auto prepare = [](FaultyStorage& storage) {
    for (const char* name : {"old", "new"}) {
      auto file = Create(storage, name);
      REQUIRE(file->Append(name).ok());
      REQUIRE(file->Sync().ok());
    }
    REQUIRE(storage.SyncFolder(".").ok());
    REQUIRE(storage.Rename("new", "old").ok());
  };
  CHECK(Outcomes("old", prepare) == Set{"old", "new"});
  CHECK(Outcomes("new", prepare) == Set{"-", "new"});
}

TEST_CASE("a folder that did not last takes its files along", "[faulty]") {
  CHECK(Outcomes("d/f", [](FaultyStorage& storage) {
          REQUIRE(storage.MakeFolder("d").ok());
          auto file = Create(storage, "d/f");
          REQUIRE(file->Append("data").ok());
          REQUIRE(file->Sync().ok());
          REQUIRE(storage.SyncFolder("d").ok());
        }) == Set{"-", "data"});
}

TEST_CASE("a failed sync of a file: never whole again, never said to be",
          "[faulty]") {
  const std::string data(2000, 'x');
  const Set outcomes = Outcomes("f", [&](FaultyStorage& storage) {
    auto file = Create(storage, "f");
    REQUIRE(storage.SyncFolder(".").ok());
    REQUIRE(file->Append(data).ok());
    storage.FailNth(StorageOp::kSync, 1, absl::UnknownError("EIO"));
    REQUIRE_THAT(file->Sync(), IsError(absl::StatusCode::kUnknown, "EIO"));
    CHECK_THAT(file->Sync(), IsError(absl::StatusCode::kUnknown, "EIO"));
    CHECK_THAT(file->Append("y"), IsError(absl::StatusCode::kUnknown, "EIO"));
    CHECK_THAT(file->Close(), IsError(absl::StatusCode::kUnknown, "EIO"));
    // Readers are none the wiser.
    CHECK(ContentsOf(storage, "f") == data);
  });
  CHECK(outcomes.contains(""));
  CHECK(outcomes.size() > 3);
}

TEST_CASE("a failed sync of a folder: a later one does not make it good",
          "[faulty]") {
  CHECK(Outcomes("f", [](FaultyStorage& storage) {
          auto file = Create(storage, "f");
          REQUIRE(file->Append("data").ok());
          REQUIRE(file->Sync().ok());
          storage.FailNth(StorageOp::kSyncFolder, 1, absl::UnknownError("EIO"));
          REQUIRE(!storage.SyncFolder(".").ok());
          REQUIRE(storage.SyncFolder(".").ok());
          CHECK(ContentsOf(storage, "f") == "data");
        }) == Set{"-", "data"});
}

TEST_CASE("the n-th operation fails, and only that", "[faulty]") {
  FaultyStorage storage(1);
  storage.FailNth(StorageOp::kAppend, 2, absl::ResourceExhaustedError("full"));
  storage.FailNth(std::nullopt, 2, absl::UnknownError("EIO"));
  auto f = Create(storage, "f");
  CHECK_THAT(f->Append("1"), IsError(absl::StatusCode::kUnknown, "EIO"));
  auto g = Create(storage, "g");
  CHECK_THAT(g->Append("22"),
             IsError(absl::StatusCode::kResourceExhausted, "full"));
  CHECK(Create(storage, "h")->Append("333").ok());
}

TEST_CASE("a full disk takes what fits", "[faulty]") {
  FaultyStorage storage(1);
  storage.set_capacity_bytes(5);
  auto file = Create(storage, "f");
  CHECK(file->Append("123").ok());
  CHECK(storage.FreeBytes(".").value() == 2);
  CHECK_THAT(file->Append("456"),
             IsError(absl::StatusCode::kResourceExhausted, "f"));
  CHECK(ContentsOf(storage, "f") == "12345");
}

TEST_CASE("after a crash everything fails until the restart", "[faulty]") {
  FaultyStorage storage(1);
  auto file = Create(storage, "f");
  auto reader = storage.OpenFile("f");
  REQUIRE(reader.ok());
  storage.CrashAtOperation(1);
  CHECK_THAT(file->Append("x"),
             IsError(absl::StatusCode::kUnavailable, "crashed"));
  CHECK(storage.is_down());
  CHECK(!storage.List(".").ok());
  storage.Restart();
  CHECK(storage.List(".").ok());
  // What was open went with the machine.
  CHECK(!file->Sync().ok());
  CHECK(!(*reader)->Size().ok());
}

TEST_CASE("the same seed loses the same", "[faulty]") {
  const auto run = [](uint64_t seed) {
    FaultyStorage storage(seed);
    auto file = Create(storage, "f");
    REQUIRE(storage.SyncFolder(".").ok());
    REQUIRE(file->Append(std::string(5000, 'x')).ok());
    storage.Restart();
    return ContentsOf(storage, "f");
  };
  for (uint64_t seed = 0; seed < 20; ++seed) CHECK(run(seed) == run(seed));
}

TEST_CASE("only empty folders are removed", "[faulty]") {
  FaultyStorage storage(1);
  REQUIRE(storage.MakeFolder("d").ok());
  // Sorts between "d" and what is in it.
  REQUIRE(storage.MakeFolder("d-2").ok());
  Create(storage, "d/f");
  CHECK(!storage.RemoveFolder("d").ok());
  REQUIRE(storage.RemoveFile("d/f").ok());
  CHECK(storage.RemoveFolder("d").ok());
  CHECK(MakeFolders(storage, "/a/b/").ok());
}

TEST_CASE("a folder whose name was not made to last is made anew", "[faulty]") {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    FaultyStorage storage(seed);
    storage.FailNth(StorageOp::kSyncFolder, 1, absl::UnknownError("I/O error"));
    REQUIRE(!MakeFolders(storage, "/a").ok());
    REQUIRE(MakeFolders(storage, "/a").ok());
    storage.Restart();
    CHECK(storage.List("/a").ok());
  }
}

}  // namespace
}  // namespace tessera
