// What a coordinator finds at its start, after one that died in the middle of
// writing, and then the power.

#include <catch2/catch.hpp>

#include "server/checkpoint/sets.h"
#include "server/service/checkpoint_keeper.h"
#include "tests/simulation/recovery/mortal_storage.h"
#include "tests/simulation/recovery/reference.h"
#include "tests/support/faulty_storage.h"
#include "tests/unit/checkpoint/test_sets.h"

namespace tessera {
namespace {

absl::Status WriteSetOf(const Job& job, Storage& storage) {
  return WriteSet(storage, {.job = job,
                            .version = 3,
                            .set_id = CheckpointSetId(7),
                            .shard_count = 1,
                            .piece_elements = 64});
}

TEST_CASE("what a coordinator starts from outlasts the power") {
  const Job job = MakeRecoveryJob(1);
  int found_unfinished = 0;
  for (int64_t n = 1;; ++n) {
    INFO("dies before operation " << n);
    bool died = false;
    bool was_found = false;
    for (uint64_t seed = 0; seed < 20; ++seed) {
      FaultyStorage disk(seed);
      REQUIRE(MakeFolders(disk, kRoot).ok());
      MortalStorage storage(disk);
      storage.DieAtOperation(n, [&died] { died = true; });
      const absl::Status written = WriteSetOf(job, storage);
      REQUIRE(written.ok() == !died);
      const auto points = FindRestorePoints(disk, kRoot, job);
      REQUIRE(points.ok());
      was_found = !points->empty();
      disk.CrashAtOperation(1);
      (void)disk.List(kRoot);
      disk.Restart();
      if (was_found) REQUIRE(FindSets(disk, kRoot)->complete.size() == 1);
    }
    if (!died) break;
    if (was_found) ++found_unfinished;
  }
  // That is what the test is about.
  REQUIRE(found_unfinished >= 1);
}

TEST_CASE("the folder for checkpoints outlasts the power, whoever made it") {
  const Job job = MakeRecoveryJob(1);
  bool died = true;
  for (int64_t n = 1; died; ++n) {
    INFO("the first process dies before operation " << n);
    died = false;
    for (uint64_t seed = 0; seed < 20; ++seed) {
      FaultyStorage disk(seed);
      MortalStorage storage(disk);
      storage.DieAtOperation(n, [&died] { died = true; });
      const auto first = FindRestorePoints(storage, kRoot, job);
      REQUIRE(first.ok() == !died);
      REQUIRE(FindRestorePoints(disk, kRoot, job).ok());
      REQUIRE(WriteSetOf(job, disk).ok());
      disk.CrashAtOperation(1);
      (void)disk.List(kRoot);
      disk.Restart();
      const auto found = FindSets(disk, kRoot);
      REQUIRE(found.ok());
      REQUIRE(found->complete.size() == 1);
    }
  }
}

}  // namespace
}  // namespace tessera
