#include "server/service/checkpoint_keeper.h"

#include <catch2/catch.hpp>
#include <optional>
#include <string>
#include <vector>

#include "common/base/mutex.h"
#include "server/checkpoint/manifest.h"
#include "server/checkpoint/sets.h"
#include "tests/support/faulty_storage.h"
#include "tests/support/status.h"
#include "tests/support/test_job.h"
#include "tests/unit/checkpoint/test_sets.h"

namespace tessera {
namespace {

using Code = absl::StatusCode;

// One shard's file, and the manifest as the coordinator gives it.
v1::CheckpointManifest WriteFiles(Storage& storage, const Job& job,
                                  int64_t version, uint64_t set_id) {
  const TestSet set = {.job = job,
                       .version = version,
                       .set_id = CheckpointSetId(set_id),
                       .shard_count = 1};
  const auto files = WriteShardFiles(storage, set);
  REQUIRE_OK(files);
  v1::CheckpointManifest manifest = MakeManifest(set, *files);
  manifest.clear_job();
  v1::CoordinatorState state;
  state.set_best_loss(0.5);
  manifest.set_coordinator_state(state.SerializeAsString());
  return manifest;
}

struct Outcome {
  uint64_t set_id = 0;
  absl::Status status;
  int64_t bytes = 0;
};

// Lets a keeper write a manifest.
Outcome Keep(const Job& job, Storage& storage,
             const v1::CheckpointManifest& manifest) {
  CheckpointKeeper keeper(job, storage, {.root = kRoot, .clock = [] {
                                           return absl::FromUnixMillis(1234);
                                         }});
  keeper.Take(manifest);
  Mutex mutex;
  std::optional<Outcome> outcome;
  keeper.Start([&](uint64_t set_id, const absl::Status& status, int64_t bytes) {
    MutexLock lock(&mutex);
    outcome = Outcome{set_id, status, bytes};
  });
  MutexLock lock(&mutex);
  mutex.Await([&outcome] { return outcome.has_value(); });
  return *outcome;
}

std::vector<int64_t> Versions(const std::vector<RestorePoint>& points) {
  std::vector<int64_t> versions;
  for (const RestorePoint& point : points) versions.push_back(point.version);
  return versions;
}

TEST_CASE("a folder that is not there is made, and holds nothing") {
  FaultyStorage storage(1);
  const Job job = MakeTestJob();
  const auto points = FindRestorePoints(storage, kRoot, job);
  REQUIRE_OK(points);
  REQUIRE(points->empty());
  REQUIRE_OK(storage.List(kRoot));
  REQUIRE_OK(FindRestorePoints(storage, kRoot, job));
}

TEST_CASE("what was kept is found again, newest first, and the oldest goes") {
  FaultyStorage storage(1);
  const Job job = MakeTestJob();
  REQUIRE_OK(FindRestorePoints(storage, kRoot, job));
  const int keep = job.checkpoint_policy().keep();
  for (int64_t version = 1; version <= keep + 1; ++version) {
    const auto manifest =
        WriteFiles(storage, job, version, 100 + static_cast<uint64_t>(version));
    const Outcome outcome = Keep(job, storage, manifest);
    REQUIRE_OK(outcome.status);
    REQUIRE(outcome.set_id == manifest.set_id());
    REQUIRE(outcome.bytes == manifest.files(0).file_bytes());
  }
  const auto points = FindRestorePoints(storage, kRoot, job);
  REQUIRE_OK(points);
  REQUIRE(Versions(*points) == std::vector<int64_t>{4, 3, 2});
  REQUIRE(points->front().set_id == 104);
  REQUIRE(points->front().state.best_loss() == 0.5);

  const auto sets = FindSets(storage, kRoot);
  REQUIRE_OK(sets);
  REQUIRE(sets->complete.front().manifest().written_unix_ms() == 1234);
  REQUIRE_OK(JobOf(sets->complete.front().manifest()));
}

TEST_CASE("a manifest that cannot be written is no checkpoint") {
  FaultyStorage storage(1);
  const Job job = MakeTestJob();
  REQUIRE_OK(FindRestorePoints(storage, kRoot, job));
  const auto manifest = WriteFiles(storage, job, 5, 100);
  storage.FailNth(StorageOp::kSync, 1, absl::UnknownError("I/O error"));
  REQUIRE_ERROR(Keep(job, storage, manifest).status, Code::kUnknown,
                "I/O error");
}

TEST_CASE("an old checkpoint that cannot be removed harms no new one") {
  FaultyStorage storage(1);
  const Job job = MakeTestJob();
  REQUIRE_OK(FindRestorePoints(storage, kRoot, job));
  for (int64_t version = 1; version <= 3; ++version) {
    REQUIRE_OK(Keep(job, storage,
                    WriteFiles(storage, job, version,
                               100 + static_cast<uint64_t>(version)))
                   .status);
  }
  storage.FailNth(StorageOp::kRemove, 1, absl::UnknownError("I/O error"));
  REQUIRE_OK(Keep(job, storage, WriteFiles(storage, job, 4, 104)).status);
  const auto points = FindRestorePoints(storage, kRoot, job);
  REQUIRE_OK(points);
  REQUIRE(points->front().version == 4);
}

TEST_CASE("a damaged set is passed over") {
  FaultyStorage storage(1);
  const Job job = MakeTestJob();
  REQUIRE_OK(FindRestorePoints(storage, kRoot, job));
  REQUIRE_OK(Keep(job, storage, WriteFiles(storage, job, 1, 101)).status);
  REQUIRE_OK(Keep(job, storage, WriteFiles(storage, job, 2, 102)).status);
  const std::string path = JoinPath(
      JoinPath(kRoot, SetFolderName(2, CheckpointSetId(102))), kManifestName);
  std::string contents = storage.Contents(path);
  contents[contents.size() / 2] ^= 1;
  storage.SetContents(path, contents);
  const auto points = FindRestorePoints(storage, kRoot, job);
  REQUIRE_OK(points);
  REQUIRE(Versions(*points) == std::vector<int64_t>{1});
}

TEST_CASE("another job's sets are an error that says what to do") {
  FaultyStorage storage(1);
  const Job job = MakeTestJob();
  REQUIRE_OK(FindRestorePoints(storage, kRoot, job));
  REQUIRE_OK(Keep(job, storage, WriteFiles(storage, job, 1, 101)).status);
  const Job other = MakeTestJob({.seed = 2});
  REQUIRE_ERROR(FindRestorePoints(storage, kRoot, other),
                Code::kFailedPrecondition, "checkpoint-000000000001",
                "another job", "--checkpoint_dir");
}

}  // namespace
}  // namespace tessera
