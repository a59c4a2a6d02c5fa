#include "common/storage/storage.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace tessera {
namespace {

std::string ParentOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == path.npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

absl::Status WritableFile::Keep(absl::Status status) {
  if (!status.ok()) failure_ = status;
  return status;
}

absl::Status WritableFile::Append(absl::string_view data) {
  TESSERA_RETURN_IF_ERROR(failure_);
  return Keep(DoAppend(data));
}

absl::Status WritableFile::Sync() {
  TESSERA_RETURN_IF_ERROR(failure_);
  return Keep(DoSync());
}

absl::Status WritableFile::Close() {
  TESSERA_RETURN_IF_ERROR(failure_);
  TESSERA_RETURN_IF_ERROR(Keep(DoClose()));
  failure_ =
      absl::FailedPreconditionError(absl::StrCat("file ", path_, " is closed"));
  return absl::OkStatus();
}

absl::Status MakeLastingFolder(Storage& storage, const std::string& folder) {
  const absl::Status made = storage.MakeFolder(folder);
  if (!made.ok() && !absl::IsAlreadyExists(made)) return made;
  const absl::Status synced = storage.SyncFolder(ParentOf(folder));
  // A folder that is there may have been made by a process that died before it
  // could sync; but it may as well be the system's, with a parent that is not
  // for us to open.
  if (!made.ok() && absl::IsPermissionDenied(synced)) return absl::OkStatus();
  // A name whose sync failed may never last, whatever later syncs say, so the
  // next try is to make it anew.
  if (made.ok() && !synced.ok()) storage.RemoveFolder(folder).IgnoreError();
  return synced;
}

absl::Status MakeFolders(Storage& storage, const std::string& path) {
  for (size_t slash = path.find('/', 1);; slash = path.find('/', slash + 1)) {
    const std::string folder = path.substr(0, slash);
    if (!absl::EndsWith(folder, "/")) {
      TESSERA_RETURN_IF_ERROR(MakeLastingFolder(storage, folder));
    }
    if (slash == path.npos) return absl::OkStatus();
  }
}

absl::StatusOr<std::string> ReadWholeFile(Storage& storage,
                                          const std::string& path,
                                          int64_t max_bytes) {
  TESSERA_ASSIGN_OR_RETURN(const std::unique_ptr<ReadableFile> file,
                           storage.OpenFile(path));
  TESSERA_ASSIGN_OR_RETURN(const int64_t bytes, file->Size());
  if (bytes > max_bytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("file ", path, " has ", bytes, " bytes, more than the ",
                     max_bytes, " that it may have"));
  }
  std::string contents(static_cast<size_t>(bytes), '\0');
  TESSERA_RETURN_IF_ERROR(file->Read(0, bytes, contents.data()));
  return contents;
}

std::string JoinPath(absl::string_view folder, absl::string_view name) {
  if (absl::EndsWith(folder, "/")) return absl::StrCat(folder, name);
  return absl::StrCat(folder, "/", name);
}

}  // namespace tessera
