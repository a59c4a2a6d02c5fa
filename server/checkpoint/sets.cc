#include "server/checkpoint/sets.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/status_macros.h"

namespace tessera {
namespace {

bool IsAcknowledged(const CheckpointReader& set, const SetName& acknowledged) {
  return set.set().version == acknowledged.version &&
         set.set().set_id == acknowledged.set_id;
}

absl::Status RemoveSet(Storage& storage, const std::string& root,
                       const std::string& folder) {
  const absl::Status unmade =
      storage.RemoveFile(JoinPath(folder, kManifestName));
  if (!unmade.ok() && !absl::IsNotFound(unmade)) return unmade;
  TESSERA_RETURN_IF_ERROR(storage.SyncFolder(folder));
  TESSERA_ASSIGN_OR_RETURN(const std::vector<std::string> names,
                           storage.List(folder));
  for (const std::string& name : names) {
    TESSERA_RETURN_IF_ERROR(storage.RemoveFile(JoinPath(folder, name)));
  }
  TESSERA_RETURN_IF_ERROR(storage.RemoveFolder(folder));
  return storage.SyncFolder(root);
}

absl::StatusOr<std::vector<std::string>> ChooseRemoved(
    const FoundSets& found, const RetentionOptions& options) {
  const SetName& acknowledged = options.acknowledged;
  const bool is_there = std::any_of(
      found.complete.begin(), found.complete.end(),
      [&](const auto& set) { return IsAcknowledged(set, acknowledged); });
  if (!is_there) {
    return absl::FailedPreconditionError(
        absl::StrCat("no checkpoint is removed, because the newest, ",
                     SetFolderName(acknowledged.version, acknowledged.set_id),
                     ", is not there or not complete"));
  }
  std::vector<std::string> removed;
  int kept = 1;
  int64_t oldest_kept = acknowledged.version;
  for (const CheckpointReader& set : found.complete) {
    const int64_t version = set.set().version;
    if (version > acknowledged.version || IsAcknowledged(set, acknowledged)) {
      continue;
    }
    if (kept < options.keep) {
      ++kept;
      oldest_kept = version;
    } else {
      removed.push_back(set.folder());
    }
  }
  for (const IncompleteSet& set : found.incomplete) {
    // What has a manifest may be worth somebody's look, or was unreadable for
    // a moment only: then it is one of those to keep, unless there are enough.
    const bool has_manifest = !absl::IsNotFound(set.why);
    if (has_manifest && kept < options.keep) continue;
    const int64_t limit = has_manifest ? oldest_kept : acknowledged.version;
    if (set.name.version < limit) removed.push_back(set.folder);
  }
  return removed;
}

}  // namespace

absl::StatusOr<FoundSets> FindSets(Storage& storage, const std::string& root) {
  TESSERA_ASSIGN_OR_RETURN(std::vector<std::string> names, storage.List(root));
  std::vector<std::pair<SetName, std::string>> sets;
  for (std::string& name : names) {
    const std::optional<SetName> set = ParseSetFolderName(name);
    if (set.has_value()) sets.emplace_back(*set, JoinPath(root, name));
  }
  std::stable_sort(sets.begin(), sets.end(), [](const auto& a, const auto& b) {
    return a.first.version > b.first.version;
  });
  FoundSets found;
  for (auto& [name, folder] : sets) {
    auto reader = CheckpointReader::Open(storage, folder);
    if (reader.ok()) {
      found.complete.push_back(*std::move(reader));
    } else {
      found.incomplete.push_back({folder, name, reader.status()});
    }
  }
  return found;
}

absl::StatusOr<std::vector<std::string>> ApplyRetention(
    Storage& storage, const std::string& root,
    const RetentionOptions& options) {
  TESSERA_CHECK(options.keep >= 1);
  TESSERA_ASSIGN_OR_RETURN(const FoundSets found, FindSets(storage, root));
  TESSERA_ASSIGN_OR_RETURN(std::vector<std::string> removed,
                           ChooseRemoved(found, options));
  for (const std::string& folder : removed) {
    TESSERA_RETURN_IF_ERROR(RemoveSet(storage, root, folder));
  }
  return removed;
}

}  // namespace tessera
