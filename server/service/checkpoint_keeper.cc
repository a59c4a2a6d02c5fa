#include "server/service/checkpoint_keeper.h"

#include <spdlog/spdlog.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/job/identity.h"
#include "server/checkpoint/manifest.h"
#include "server/checkpoint/sets.h"
#include "server/checkpoint/writer.h"
#include "server/service/set_source.h"

namespace tessera {
namespace {

absl::Status EnsureFolder(Storage& storage, const std::string& root) {
  const absl::Status listed = storage.List(root).status();
  if (absl::IsNotFound(listed)) {
    spdlog::info("the checkpoint folder {} is not there; making it", root);
  } else if (!listed.ok()) {
    return listed;
  }
  // Even one that is there: whoever made it may have died before it lasted.
  return MakeFolders(storage, root);
}

absl::StatusOr<RestorePoint> ToRestorePoint(const CheckpointReader& set) {
  RestorePoint point = {.version = set.set().version,
                        .set_id = set.set().set_id.value()};
  if (point.state.ParseFromString(set.manifest().coordinator_state())) {
    return point;
  }
  return absl::DataLossError(
      absl::StrCat(set.folder(), ": coordinator_state is no CoordinatorState"));
}

}  // namespace

absl::StatusOr<std::vector<RestorePoint>> FindRestorePoints(
    Storage& storage, const std::string& root, const Job& job) {
  TESSERA_RETURN_IF_ERROR(EnsureFolder(storage, root));
  TESSERA_ASSIGN_OR_RETURN(const FoundSets found, FindSets(storage, root));
  std::vector<RestorePoint> points;
  for (const CheckpointReader& set : found.complete) {
    TESSERA_RETURN_IF_ERROR(CheckSetOfJob(set, job));
    auto point = ToRestorePoint(set);
    if (point.ok()) {
      // Whoever wrote it may have died before its names were made to last.
      TESSERA_RETURN_IF_ERROR(storage.SyncFolder(set.folder()));
      points.push_back(*std::move(point));
    } else {
      spdlog::warn("passed over: {}", point.status().ToString());
    }
  }
  for (const IncompleteSet& set : found.incomplete) {
    // Without a manifest it never was one.
    if (absl::IsNotFound(set.why)) continue;
    spdlog::warn("{} is damaged and passed over: {}", set.folder,
                 set.why.ToString());
  }
  return points;
}

CheckpointKeeper::CheckpointKeeper(const Job& job, Storage& storage,
                                   Options options)
    : job_(job),
      storage_(storage),
      options_(std::move(options)),
      newest_(options_.newest) {}

CheckpointKeeper::~CheckpointKeeper() { Stop(); }

void CheckpointKeeper::Take(v1::CheckpointManifest manifest) {
  MutexLock lock(&mutex_);
  queue_.push_back(std::move(manifest));
}

void CheckpointKeeper::Start(Written written) {
  written_ = std::move(written);
  thread_ = std::thread([this] { Run(); });
}

void CheckpointKeeper::Stop() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
  }
  if (thread_.joinable()) thread_.join();
}

void CheckpointKeeper::Run() {
  while (true) {
    v1::CheckpointManifest manifest;
    {
      MutexLock lock(&mutex_);
      mutex_.Await([this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
        return stopping_ || !queue_.empty();
      });
      if (stopping_) return;
      manifest = std::move(queue_.front());
      queue_.pop_front();
    }
    Write(std::move(manifest));
  }
}

void CheckpointKeeper::Write(v1::CheckpointManifest manifest) {
  manifest.set_job(SerializeJob(job_.proto()));
  manifest.set_written_unix_ms(absl::ToUnixMillis(options_.clock()));
  const absl::Status status = WriteManifest(storage_, options_.root, manifest);
  const int64_t bytes = TotalBytes(manifest);
  if (status.ok()) {
    newest_ =
        SetFolderName(manifest.version(), CheckpointSetId(manifest.set_id()));
    spdlog::info("checkpoint of version {} is complete: {} ({} bytes)",
                 manifest.version(), JoinPath(options_.root, newest_), bytes);
    RemoveOld(manifest);
  } else {
    spdlog::error(
        "checkpoint of version {} failed: {}; training goes on, the newest "
        "good one is {}",
        manifest.version(), status.ToString(), newest_);
  }
  written_(manifest.set_id(), status, bytes);
}

void CheckpointKeeper::RemoveOld(const v1::CheckpointManifest& newest) {
  const auto removed = ApplyRetention(
      storage_, options_.root,
      {.keep = job_.checkpoint_policy().keep(),
       .acknowledged = {.version = newest.version(),
                        .set_id = CheckpointSetId(newest.set_id())}});
  if (removed.ok()) return;
  // The new set is none the worse for it.
  spdlog::warn("old checkpoints in {} could not be removed: {}", options_.root,
               removed.status().ToString());
}

}  // namespace tessera
