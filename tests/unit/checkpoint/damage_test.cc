// Whatever is changed in a set's files, its readers notice and say what.

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "server/checkpoint/format.h"
#include "server/checkpoint/manifest.h"
#include "server/checkpoint/reader.h"
#include "server/checkpoint/sets.h"
#include "server/checkpoint/writer.h"
#include "tests/support/faulty_storage.h"
#include "tests/support/status.h"
#include "tests/support/test_job.h"
#include "tests/unit/checkpoint/test_sets.h"

namespace tessera {
namespace {

using absl::StatusCode;

// An older good set and a newer one to be damaged.
class TwoSets {
 public:
  TwoSets() : storage(1) {
    REQUIRE(MakeFolders(storage, kRoot).ok());
    REQUIRE(WriteSet(storage, older).ok());
    REQUIRE(WriteSet(storage, newer).ok());
  }

  std::vector<std::string> FilesOfNewer() const {
    return {FileOf(newer, 0), FileOf(newer, 1), ManifestOf(newer)};
  }

  // What a recovery does: the newest set that is whole.
  std::string Recovered() {
    const auto found = FindSets(storage, kRoot);
    REQUIRE(found.ok());
    for (const CheckpointReader& reader : found->complete) {
      const absl::Status checked = CheckValues(reader);
      // kInternal is for bits that changed unnoticed.
      REQUIRE(checked.code() != StatusCode::kInternal);
      if (checked.ok()) return reader.folder();
    }
    return "";
  }

  const TestSet older{
      .job = AdamWTestJob(), .version = 6, .set_id = CheckpointSetId(0xaaa)};
  const TestSet newer{.job = AdamWTestJob(), .version = 7};
  FaultyStorage storage;
};

bool IsRefusal(const absl::Status& status, const std::string& file) {
  return IsError(StatusCode::kDataLoss, file).match(status) ||
         IsError(StatusCode::kFailedPrecondition, file, "format version")
             .match(status);
}

TEST_CASE("nothing damaged: the newer set loads", "[damage]") {
  TwoSets sets;
  CHECK(sets.Recovered() == FolderOf(sets.newer));
}

TEST_CASE("every flip of one bit is noticed", "[damage]") {
  TwoSets sets;
  int64_t flips = 0;
  for (const std::string& file : sets.FilesOfNewer()) {
    const std::string good = sets.storage.Contents(file);
    std::string bad = good;
    for (size_t bit = 0; bit < good.size() * 8; ++bit) {
      bad[bit / 8] ^= static_cast<char>(1 << bit % 8);
      sets.storage.SetContents(file, bad);
      const absl::Status status = CheckSet(sets.storage, FolderOf(sets.newer));
      INFO("bit " << bit << " of " << file << ": " << status.ToString());
      REQUIRE(IsRefusal(status, file));
      bad[bit / 8] = good[bit / 8];
      ++flips;
    }
    sets.storage.SetContents(file, good);
  }
  CHECK(flips > 5000);
  CHECK(sets.Recovered() == FolderOf(sets.newer));
}

TEST_CASE("every truncation is noticed, and every byte too many", "[damage]") {
  TwoSets sets;
  for (const std::string& file : sets.FilesOfNewer()) {
    const std::string good = sets.storage.Contents(file);
    for (size_t bytes = 0; bytes <= good.size() + 1; ++bytes) {
      if (bytes == good.size()) continue;
      std::string bad = good;
      bad.resize(bytes, '\0');
      sets.storage.SetContents(file, bad);
      const absl::Status status = CheckSet(sets.storage, FolderOf(sets.newer));
      INFO(bytes << " bytes of " << file << ": " << status.ToString());
      REQUIRE(IsError(StatusCode::kDataLoss, file).match(status));
      REQUIRE(sets.Recovered() == FolderOf(sets.older));
    }
    sets.storage.SetContents(file, good);
  }
}

TEST_CASE("a file that is gone is noticed", "[damage]") {
  TwoSets sets;
  REQUIRE(sets.storage.RemoveFile(FileOf(sets.newer, 1)).ok());
  CHECK_THAT(CheckSet(sets.storage, FolderOf(sets.newer)),
             IsError(StatusCode::kDataLoss, "shard-00001", "not there"));
  CHECK(sets.Recovered() == FolderOf(sets.older));
}

// Every byte of a swapped piece goes with its CRC.
TEST_CASE("a piece from another checkpoint is noticed", "[damage]") {
  TwoSets sets;
  const std::string file = FileOf(sets.newer, 1);
  const std::string good = sets.storage.Contents(file);
  const std::string& other = sets.storage.Contents(FileOf(sets.older, 1));
  REQUIRE(good.size() == other.size());
  const ShardGeometry geometry(HeaderOf(sets.newer, 1));
  for (int64_t run = 0; run < geometry.runs(); ++run) {
    for (int section = 0; section < 3; ++section) {
      const auto offset =
          static_cast<size_t>(geometry.PieceOffset(run, section));
      const auto bytes = static_cast<size_t>(
          ShardGeometry::PieceBytes(geometry.RunElements(run).size()));
      std::string bad = good;
      bad.replace(offset, bytes, other, offset, bytes);
      sets.storage.SetContents(file, bad);
      CHECK_THAT(CheckSet(sets.storage, FolderOf(sets.newer)),
                 IsError(StatusCode::kDataLoss, file,
                         absl::StrCat("piece at offset ", offset),
                         "expected version 7", "found version 6"));
      CHECK(sets.Recovered() == FolderOf(sets.older));
    }
  }
}

TEST_CASE("two pieces of one file that changed places are noticed",
          "[damage]") {
  TwoSets sets;
  const std::string file = FileOf(sets.newer, 1);
  std::string bad = sets.storage.Contents(file);
  const ShardGeometry geometry(HeaderOf(sets.newer, 1));
  const auto bytes = static_cast<size_t>(ShardGeometry::PieceBytes(8));
  const auto a = static_cast<size_t>(geometry.PieceOffset(0, 1));
  const auto b = static_cast<size_t>(geometry.PieceOffset(1, 2));
  const std::string first = bad.substr(a, bytes);
  bad.replace(a, bytes, bad.substr(b, bytes));
  bad.replace(b, bytes, first);
  sets.storage.SetContents(file, bad);
  CHECK_THAT(CheckSet(sets.storage, FolderOf(sets.newer)),
             IsError(StatusCode::kDataLoss, "expected optimizer slot 0",
                     "found optimizer slot 1"));
}

TEST_CASE("header and footer from another checkpoint are noticed", "[damage]") {
  TwoSets sets;
  const std::string file = FileOf(sets.newer, 0);
  const std::string good = sets.storage.Contents(file);
  const std::string& other = sets.storage.Contents(FileOf(sets.older, 0));
  const size_t footer = good.size() - kShardFooterBytes;
  const auto swapped = [&](size_t offset, size_t bytes) {
    std::string bad = good;
    bad.replace(offset, bytes, other, offset, bytes);
    sets.storage.SetContents(file, bad);
    return CheckSet(sets.storage, FolderOf(sets.newer));
  };
  CHECK_THAT(swapped(0, kShardHeaderBytes),
             IsError(StatusCode::kDataLoss, file, "header at offset 0",
                     "expected version 7", "found version 6"));
  CHECK_THAT(swapped(footer, kShardFooterBytes),
             IsError(StatusCode::kDataLoss, file,
                     absl::StrCat("footer at offset ", footer),
                     "expected version 7", "found version 6"));
  CHECK_THAT(swapped(0, good.size()),
             IsError(StatusCode::kDataLoss, file, "expected version 7",
                     "found version 6"));
}

TEST_CASE("the file of another shard is noticed", "[damage]") {
  // Shards of the same size, so that nothing but the header tells them apart.
  FaultyStorage storage(1);
  REQUIRE(MakeFolders(storage, kRoot).ok());
  const TestSet set{.job = MakeTestJob({.parameters = 32})};
  REQUIRE(WriteSet(storage, set).ok());
  storage.SetContents(FileOf(set, 0), storage.Contents(FileOf(set, 1)));
  CHECK_THAT(CheckSet(storage, FolderOf(set)),
             IsError(StatusCode::kDataLoss, "shard-00000", "expected shard 0",
                     "found shard 1"));
}

// All in it goes together, down to the set id; only the manifest knows better.
TEST_CASE("a file that was written twice for one set is noticed", "[damage]") {
  TwoSets sets;
  FaultyStorage elsewhere(2);
  REQUIRE(MakeFolders(elsewhere, kRoot).ok());
  TestSource other_values(sets.newer.version + 1);
  NoPacer pacer;
  REQUIRE(WriteShardFile(elsewhere, kRoot, HeaderOf(sets.newer, 1),
                         other_values, pacer)
              .ok());
  const std::string file = FileOf(sets.newer, 1);
  const std::string& other = elsewhere.Contents(file);
  SECTION("the whole of it") {
    sets.storage.SetContents(file, other);
    CHECK_THAT(CheckSet(sets.storage, FolderOf(sets.newer)),
               IsError(StatusCode::kDataLoss, file, "footer at offset",
                       "the manifest expects"));
  }
  SECTION("all but its footer, by a check of the whole") {
    std::string bad = sets.storage.Contents(file);
    bad.replace(0, bad.size() - kShardFooterBytes, other, 0,
                other.size() - kShardFooterBytes);
    sets.storage.SetContents(file, bad);
    CHECK_THAT(CheckSet(sets.storage, FolderOf(sets.newer)),
               IsError(StatusCode::kDataLoss, file, "footer at offset",
                       "expects pieces with CRC"));
  }
  CHECK(sets.Recovered() == FolderOf(sets.older));
}

TEST_CASE("a stale manifest is noticed", "[damage]") {
  TwoSets sets;
  const std::string manifest = ManifestOf(sets.newer);
  const std::string& older = sets.storage.Contents(ManifestOf(sets.older));

  SECTION("of the older set") {
    sets.storage.SetContents(manifest, older);
    CHECK_THAT(CheckSet(sets.storage, FolderOf(sets.newer)),
               IsError(StatusCode::kDataLoss, manifest, "version 6",
                       "belongs in a folder named checkpoint-000000000006-"));
  }
  SECTION("of another attempt at the same version") {
    TestSet again = sets.newer;
    again.set_id = CheckpointSetId(0xdef);
    REQUIRE(WriteSet(sets.storage, again).ok());
    sets.storage.SetContents(manifest,
                             sets.storage.Contents(ManifestOf(again)));
    CHECK_THAT(CheckSet(sets.storage, FolderOf(sets.newer)),
               IsError(StatusCode::kDataLoss, manifest, "set 0000000000000def",
                       "belongs in a folder"));
    // Somebody renames the folder to make it fit; or mixes the files.
    sets.storage.SetContents(FileOf(again, 1),
                             sets.storage.Contents(FileOf(sets.newer, 1)));
    CHECK_THAT(
        CheckSet(sets.storage, FolderOf(again)),
        IsError(StatusCode::kDataLoss, "shard-00001", "expected version 7",
                "set 0000000000000def", "set 0000000000000abc"));
  }
  SECTION("of another job") {
    TestSet other = sets.newer;
    other.job =
        MakeTestJob({.parameters = 40, .seed = 2, .optimizer = "adamw {}"});
    FaultyStorage elsewhere(2);
    REQUIRE(MakeFolders(elsewhere, kRoot).ok());
    REQUIRE(WriteSet(elsewhere, other).ok());
    sets.storage.SetContents(manifest, elsewhere.Contents(ManifestOf(other)));
    CHECK_THAT(CheckSet(sets.storage, FolderOf(sets.newer)),
               IsError(StatusCode::kDataLoss, "shard-00000", "of job 0x"));
  }
  CHECK(sets.Recovered() == FolderOf(sets.older));
}

TEST_CASE("a manifest that cannot be is refused, CRC or not", "[damage]") {
  TwoSets sets;
  const auto good = CheckpointReader::Open(sets.storage, FolderOf(sets.newer));
  REQUIRE(good.ok());
  const auto refused = [&](auto change, const char* words) {
    v1::CheckpointManifest manifest = good->manifest();
    change(manifest);
    CHECK_THAT(ParseManifest(EncodeManifest(manifest)).status(),
               IsError(StatusCode::kDataLoss, "manifest", words));
  };
  using M = v1::CheckpointManifest;
  refused([](M& m) { m.set_version(-1); }, "identity");
  refused([](M& m) { m.set_set_id(0); }, "identity");
  refused([](M& m) { m.set_job_fingerprint(1); }, "fingerprint");
  refused([](M& m) { m.set_job("x"); }, "fingerprint");
  refused([](M& m) { m.clear_files(); }, "0 files");
  refused([](M& m) { m.mutable_files(1)->set_shard(0); }, "shard 1");
  refused([](M& m) { m.mutable_files(0)->set_first_element(1); }, "element 0");
  refused([](M& m) { m.mutable_files(1)->set_first_element(15); }, "shard 1");
  refused([](M& m) { m.mutable_files(1)->set_last_element(16); }, "empty");
  refused([](M& m) { m.set_total_elements(41); }, "end at element 40");
}

// The optimizer's state would be read as another's.
TEST_CASE("files of another optimizer than the job's are refused", "[damage]") {
  FaultyStorage storage(1);
  REQUIRE(MakeFolders(storage, kRoot).ok());
  const TestSet set{.job = MakeTestJob({.parameters = 32})};
  std::vector<v1::CheckpointFile> files;
  for (int shard = 0; shard < 2; ++shard) {
    TestSource source(set.version);
    NoPacer pacer;
    ShardHeader header = HeaderOf(set, shard);
    header.optimizer = {.kind = 2, .slots = 2};
    const auto file = WriteShardFile(storage, kRoot, header, source, pacer);
    REQUIRE(file.ok());
    files.push_back(*file);
  }
  CHECK_THAT(WriteManifest(storage, kRoot, MakeManifest(set, files)),
             IsError(StatusCode::kDataLoss, "shard-00000", "optimizer"));
}

}  // namespace
}  // namespace tessera
