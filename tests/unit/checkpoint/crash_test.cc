// Every operation fails once, and the machine crashes at every operation. What
// was acknowledged must be there, whole, for ever.

#include <catch2/catch.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "server/checkpoint/sets.h"
#include "tests/support/faulty_storage.h"
#include "tests/support/status.h"
#include "tests/support/test_job.h"
#include "tests/unit/checkpoint/test_sets.h"

namespace tessera {
namespace {

using absl::StatusCode;

constexpr int kSeeds = 5;

TestSet SetOfVersion(int64_t version, uint64_t set_id) {
  return {.job = AdamWTestJob(),
          .version = version,
          .set_id = CheckpointSetId(set_id),
          .piece_elements = 16};
}

// What a coordinator does: a set at each version, then the retention; after an
// error another attempt with another set id.
class Run {
 public:
  Run(FaultyStorage& storage, int keep) : storage_(storage), keep_(keep) {}

  void Checkpoint(int64_t version) {
    const TestSet set = SetOfVersion(version, ++attempts_);
    if (!WriteSet(storage_, set).ok()) return;
    acknowledged_ = FolderOf(set);
    version_ = version;
    // What it could not remove, the next one does.
    ApplyRetention(storage_, kRoot,
                   {.keep = keep_, .acknowledged = {version, set.set_id}})
        .IgnoreError();
  }

  // The newest that was acknowledged; empty for none.
  const std::string& acknowledged() const { return acknowledged_; }
  int64_t version() const { return version_; }

 private:
  FaultyStorage& storage_;
  const int keep_;
  uint64_t attempts_ = 0;
  std::string acknowledged_;
  int64_t version_ = -1;
};

// The newest set that FindSets calls complete must be whole and no older than
// what was acknowledged. Also, whatever looks complete must be whole: its
// manifest came last.
absl::Status RecoveryStatus(FaultyStorage& storage, const Run& run) {
  TESSERA_ASSIGN_OR_RETURN(const FoundSets found, FindSets(storage, kRoot));
  for (const CheckpointReader& reader : found.complete) {
    TESSERA_RETURN_IF_ERROR(CheckValues(reader));
  }
  if (run.acknowledged().empty()) return absl::OkStatus();
  TESSERA_RETURN_IF_ERROR(CheckSet(storage, run.acknowledged()));
  if (found.complete[0].set().version < run.version()) {
    return absl::InternalError("the newest set is older than acknowledged");
  }
  return absl::OkStatus();
}

void CheckRecovery(FaultyStorage& storage, const Run& run) {
  const absl::Status status = RecoveryStatus(storage, run);
  if (status.ok()) return;
  FAIL(status << "\nacknowledged: " << run.acknowledged() << "\n"
              << absl::StrJoin(storage.trace(), "\n"));
}

constexpr int64_t kVersions[] = {10, 20, 20, 30};

void CheckpointAll(Run& run) {
  for (const int64_t version : kVersions) run.Checkpoint(version);
}

int64_t OperationsOfARun() {
  FaultyStorage storage(1);
  REQUIRE(MakeFolders(storage, kRoot).ok());
  const int64_t before = storage.operations();
  Run run(storage, 1);
  CheckpointAll(run);
  return storage.operations() - before;
}

TEST_CASE("undisturbed: the newest is left, and nothing else", "[crash]") {
  FaultyStorage storage(1);
  REQUIRE(MakeFolders(storage, kRoot).ok());
  Run run(storage, 1);
  CheckpointAll(run);
  CHECK(run.version() == 30);
  CHECK(storage.List(kRoot).value().size() == 1);
  storage.Restart();
  CheckRecovery(storage, run);
}

TEST_CASE("a crash at every operation", "[crash]") {
  const int64_t operations = OperationsOfARun();
  REQUIRE(operations > 100);
  int acknowledged = 0;
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    for (int64_t n = 1; n <= operations; ++n) {
      CAPTURE(seed, n);
      FaultyStorage storage(seed);
      REQUIRE(MakeFolders(storage, kRoot).ok());
      storage.CrashAtOperation(n);
      Run run(storage, 1);
      CheckpointAll(run);
      REQUIRE(storage.is_down());
      storage.Restart();
      CheckRecovery(storage, run);
      acknowledged += !run.acknowledged().empty();
      // It goes on, on what the crash left.
      Run next(storage, 1);
      next.Checkpoint(40);
      CHECK(next.version() == 40);
      storage.Restart();
      CheckRecovery(storage, next);
    }
  }
  // Else there was nothing to lose.
  CHECK(acknowledged > kSeeds * operations / 3);
}

TEST_CASE("every operation fails once, then the power", "[crash]") {
  const absl::Status error =
      GENERATE(absl::UnknownError("Input/output error"),
               absl::ResourceExhaustedError("No space left on device"));
  const int64_t operations = OperationsOfARun();
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    for (int64_t n = 1; n <= operations; ++n) {
      CAPTURE(seed, n, error);
      FaultyStorage storage(seed);
      REQUIRE(MakeFolders(storage, kRoot).ok());
      storage.FailNth(std::nullopt, n, error);
      Run run(storage, 2);
      CheckpointAll(run);
      // One failure costs one set at most, and the last comes after most.
      CHECK(run.version() >= 20);
      storage.Restart();
      CheckRecovery(storage, run);
    }
  }
}

// The n-th of each kind: such a test says by itself which kind it was.
TEST_CASE("the n-th write, sync, close, rename fails: not acknowledged",
          "[crash]") {
  const StorageOp op =
      GENERATE(StorageOp::kMakeFolder, StorageOp::kCreate, StorageOp::kAppend,
               StorageOp::kSync, StorageOp::kClose, StorageOp::kRename,
               StorageOp::kSyncFolder);
  int failures = 0;
  for (int64_t n = 1;; ++n) {
    FaultyStorage storage(static_cast<uint64_t>(n));
    REQUIRE(MakeFolders(storage, kRoot).ok());
    REQUIRE(WriteSet(storage, SetOfVersion(1, 1)).ok());
    storage.FailNth(op, n, absl::UnknownError("Input/output error"));
    const TestSet set = SetOfVersion(2, 2);
    const absl::Status written = WriteSet(storage, set);
    if (written.ok()) break;  // It has fewer than n of them.
    ++failures;
    CHECK_THAT(written, IsError(StatusCode::kUnknown, "Input/output error"));
    // The attempt is over: a repeat of its calls must not make it good.
    const absl::Status again = WriteSet(storage, set);
    storage.Restart();
    CHECK(CheckSet(storage, FolderOf(SetOfVersion(1, 1))) == absl::OkStatus());
    if (again.ok()) CHECK(CheckSet(storage, FolderOf(set)) == absl::OkStatus());
  }
  CAPTURE(static_cast<int>(op));
  CHECK(failures >= 1);
}

TEST_CASE("a full disk is said before anything is written", "[crash]") {
  FaultyStorage storage(1);
  REQUIRE(MakeFolders(storage, kRoot).ok());
  storage.set_capacity_bytes(300);
  const TestSet set = SetOfVersion(2, 2);
  CHECK_THAT(WriteSet(storage, set),
             IsError(StatusCode::kResourceExhausted, FolderOf(set), "300"));
  CHECK(storage.List(FolderOf(set)).value().empty());
}

TEST_CASE("a disk that fills up while writing gets its space back", "[crash]") {
  FaultyStorage storage(1);
  REQUIRE(MakeFolders(storage, kRoot).ok());
  const TestSet set = SetOfVersion(2, 2);
  class Filling : public NoPacer {
   public:
    explicit Filling(FaultyStorage& storage) : storage_(storage) {}
    absl::Status Admit(int64_t) override {
      storage_.set_capacity_bytes(200);
      return absl::OkStatus();
    }

   private:
    FaultyStorage& storage_;
  } pacer(storage);
  TestSource source(2);
  CHECK_THAT(
      WriteShardFile(storage, kRoot, HeaderOf(set, 0), source, pacer).status(),
      IsError(StatusCode::kResourceExhausted, "shard-00000"));
  CHECK(storage.FreeBytes(kRoot).value() == 200);
}

TEST_CASE("a manifest is not written about files that are not there",
          "[crash]") {
  FaultyStorage storage(1);
  REQUIRE(MakeFolders(storage, kRoot).ok());
  const TestSet set = SetOfVersion(2, 2);
  const auto files = WriteShardFiles(storage, set).value();
  REQUIRE(storage.RemoveFile(FileOf(set, 1)).ok());
  CHECK_THAT(WriteManifest(storage, kRoot, MakeManifest(set, files)),
             IsError(StatusCode::kDataLoss, "shard-00001", "not there"));
  CHECK_THAT(FindSets(storage, kRoot)->incomplete.at(0).why,
             IsError(StatusCode::kNotFound, "manifest"));
}

TEST_CASE("a manifest that may not last is not left for anyone to find",
          "[crash]") {
  FaultyStorage storage(1);
  REQUIRE(MakeFolders(storage, kRoot).ok());
  const TestSet set = SetOfVersion(2, 2);
  const auto files = WriteShardFiles(storage, set).value();
  storage.FailNth(StorageOp::kSyncFolder, 1, absl::UnknownError("I/O error"));
  CHECK_THAT(WriteManifest(storage, kRoot, MakeManifest(set, files)),
             IsError(StatusCode::kUnknown, "I/O error"));
  CHECK(FindSets(storage, kRoot)->complete.empty());
}

TEST_CASE("an attempt is not taken up again", "[crash]") {
  FaultyStorage storage(1);
  REQUIRE(MakeFolders(storage, kRoot).ok());
  const TestSet set = SetOfVersion(2, 2);
  REQUIRE(WriteSet(storage, set).ok());
  CHECK_THAT(WriteSet(storage, set),
             IsError(StatusCode::kAlreadyExists, "another set id"));
  CHECK(CheckSet(storage, FolderOf(set)) == absl::OkStatus());
}

}  // namespace
}  // namespace tessera
