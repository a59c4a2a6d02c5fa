#include "deploy/launch/checkpoint_folder.h"

#include <filesystem>
#include <system_error>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"
#include "common/storage/posix_storage.h"
#include "server/checkpoint/format.h"
#include "server/checkpoint/sets.h"

namespace tessera {
namespace {

using std::filesystem::path;

// The sets in the folder, complete or not, in no order; none where there is no
// folder.
std::vector<path> SetsIn(const std::string& dir) {
  std::vector<path> sets;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(dir, error)) {
    if (ParseSetFolderName(entry.path().filename().string()).has_value()) {
      sets.push_back(entry.path());
    }
  }
  return sets;
}

// Servers begin anew where there is no complete set: not what was asked for.
absl::Status CheckHasComplete(const std::string& dir) {
  std::string message =
      absl::StrCat("--resume: there is no complete checkpoint in ", dir);
  if (SetsIn(dir).empty()) return absl::NotFoundError(message);
  PosixStorage storage;
  TESSERA_ASSIGN_OR_RETURN(const FoundSets found, FindSets(storage, dir));
  if (!found.complete.empty()) return absl::OkStatus();
  for (const IncompleteSet& set : found.incomplete) {
    absl::StrAppend(&message, "\n  ", set.why.message());
  }
  return absl::NotFoundError(message);
}

absl::Status Remove(const std::vector<path>& sets) {
  for (const path& set : sets) {
    std::error_code error;
    std::filesystem::remove_all(set, error);
    if (error) {
      return absl::UnknownError(
          absl::StrCat("cannot remove ", set.string(), ": ", error.message()));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status PrepareCheckpointFolder(const CheckpointFolderOptions& options) {
  if (options.resume) return CheckHasComplete(options.path);
  const std::vector<path> sets = SetsIn(options.path);
  if (!sets.empty() && !options.overwrite) {
    return absl::AlreadyExistsError(absl::StrCat(
        options.path,
        " holds checkpoints of an earlier run: go on from the newest with "
        "--resume, remove them with --overwrite, or take another folder with "
        "--checkpoint_dir"));
  }
  TESSERA_RETURN_IF_ERROR(Remove(sets));
  return MakeDirectories(options.path);
}

}  // namespace tessera
