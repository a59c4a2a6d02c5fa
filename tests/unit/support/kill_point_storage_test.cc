#include "tests/support/kill_point_storage.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "server/checkpoint/sets.h"
#include "tests/support/faulty_storage.h"
#include "tests/support/status.h"
#include "tests/unit/checkpoint/test_sets.h"

namespace tessera {
namespace {

TestSet SetOfVersion(int64_t version) {
  // Pieces of more bytes than a header has, as real ones.
  return {.job = AdamWTestJob(),
          .version = version,
          .set_id = CheckpointSetId(1),
          .piece_elements = 64};
}

// What was passed, in order.
class Journal {
 public:
  KillPointStorage::OnPoint OnPoint() {
    return [this](absl::string_view name) { names_.emplace_back(name); };
  }
  bool Has(const std::string& name) const {
    return std::find(names_.begin(), names_.end(), name) != names_.end();
  }
  const std::vector<std::string>& names() const { return names_; }
  std::vector<std::string> Take() { return std::move(names_); }

 private:
  std::vector<std::string> names_;
};

TEST_CASE("one checkpoint's life passes every kill point and no other") {
  FaultyStorage disk(1);
  Journal journal;
  KillPointStorage storage(disk, journal.OnPoint());
  REQUIRE_OK(MakeFolders(storage, kRoot));
  REQUIRE_OK(WriteSet(storage, SetOfVersion(7)));
  REQUIRE_OK(WriteSet(storage, SetOfVersion(8)));
  REQUIRE_OK(ApplyRetention(
      storage, kRoot, {.keep = 1, .acknowledged = {8, CheckpointSetId(1)}}));
  REQUIRE_OK(CheckSet(storage, FolderOf(SetOfVersion(8))));
  for (const KillPoint& point : KillPoints()) {
    CAPTURE(point.name);
    CHECK(journal.Has(point.name));
  }
  for (const std::string& name : journal.names()) {
    CAPTURE(name);
    CHECK(std::any_of(
        KillPoints().begin(), KillPoints().end(),
        [&](const KillPoint& point) { return name == point.name; }));
  }
}

TEST_CASE("points come in the order in which a file is written") {
  FaultyStorage disk(1);
  Journal journal;
  KillPointStorage storage(disk, journal.OnPoint());
  REQUIRE_OK(MakeFolders(disk, kRoot));
  const TestSet set = SetOfVersion(7);
  TestSource source(set.version);
  NoPacer pacer;
  REQUIRE_OK(WriteShardFile(storage, kRoot, HeaderOf(set, 1), source, pacer));
  std::vector<std::string> passed = journal.Take();
  // Header, three sections of one piece each, footer.
  REQUIRE(std::count(passed.begin(), passed.end(), "shard-in-append") == 5);
  passed.erase(std::unique(passed.begin(), passed.end()), passed.end());
  REQUIRE(passed == std::vector<std::string>{
                        "folder-before-make", "folder-after-make",
                        "folder-before-folder-sync", "folder-after-folder-sync",
                        "shard-before-create", "shard-after-create",
                        "shard-in-append", "shard-before-sync",
                        "shard-after-sync", "shard-after-close",
                        "shard-before-rename", "shard-after-rename",
                        "shard-before-folder-sync", "shard-after-folder-sync"});
}

TEST_CASE("at the point within an append, half of the bytes are there") {
  FaultyStorage disk(1);
  std::string seen;
  KillPointStorage storage(disk, [&](absl::string_view name) {
    if (name == "manifest-in-append") seen = disk.Contents("manifest.tmp");
  });
  const auto file = storage.CreateFile("manifest.tmp");
  REQUIRE_OK(file);
  REQUIRE_OK((*file)->Append("0123456789"));
  REQUIRE(seen == "01234");
  REQUIRE(disk.Contents("manifest.tmp") == "0123456789");
}

}  // namespace
}  // namespace tessera
