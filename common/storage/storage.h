// What checkpoints need of a file system, and what they may count on.
//
//   to make a file last:          create, append..., sync, close
//   to make its name last:        rename, sync the folder
//
// Nothing else lasts. After a crash, data that was not synced may be there, or
// not, or in part, in any order; so may a name that was made, moved or removed
// without the folder having been synced since.
//
// A sync that fails is final. The kernel reports a failed write-back once and
// may then count the pages as clean, dropped or not: syncing again succeeds
// and has written nothing. So a file whose sync failed never reports a success
// again, and a folder entry made before its folder's sync failed must be given
// up, whatever a later sync says.
//
// Paths are relative to the working directory or absolute; "/" parts names.
// Errors: the message names operation and path. RESOURCE_EXHAUSTED for a full
// disk or quota, NOT_FOUND, ALREADY_EXISTS and PERMISSION_DENIED for what they
// say, UNKNOWN for a device's I/O error, else what errno maps to.

#ifndef TESSERA_COMMON_STORAGE_STORAGE_H_
#define TESSERA_COMMON_STORAGE_STORAGE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace tessera {

// A new file, written from its start to its end. After its first error it gives
// that same error for ever. Destroying it closes it, without a sync. Not
// thread-safe.
class WritableFile {
 public:
  virtual ~WritableFile() = default;

  // All of `data`, or an error and any part of it.
  absl::Status Append(absl::string_view data);

  // Returns once all that was appended is on the disk.
  absl::Status Sync();

  // The last call. Codes: FAILED_PRECONDITION for calls after it.
  absl::Status Close();

 protected:
  explicit WritableFile(std::string path) : path_(std::move(path)) {}
  const std::string& path() const { return path_; }

 private:
  virtual absl::Status DoAppend(absl::string_view data) = 0;
  virtual absl::Status DoSync() = 0;
  virtual absl::Status DoClose() = 0;

  // The first error, kept.
  absl::Status Keep(absl::Status status);

  const std::string path_;
  absl::Status failure_;
};

// A file as it is. Thread-safe.
class ReadableFile {
 public:
  virtual ~ReadableFile() = default;

  virtual absl::StatusOr<int64_t> Size() const = 0;

  // Fills `out` with the `bytes` bytes from `offset` on. Codes: OUT_OF_RANGE
  // when the file ends before that.
  virtual absl::Status Read(int64_t offset, int64_t bytes, char* out) const = 0;
};

// Thread-safe, unless an implementation says otherwise.
class Storage {
 public:
  virtual ~Storage() = default;

  // An empty file. Codes: ALREADY_EXISTS.
  virtual absl::StatusOr<std::unique_ptr<WritableFile>> CreateFile(
      const std::string& path) = 0;

  virtual absl::StatusOr<std::unique_ptr<ReadableFile>> OpenFile(
      const std::string& path) = 0;

  // Moves a file within its folder, over any file that has the name already.
  virtual absl::Status Rename(const std::string& from,
                              const std::string& to) = 0;

  virtual absl::Status RemoveFile(const std::string& path) = 0;

  // One level. Codes: ALREADY_EXISTS.
  virtual absl::Status MakeFolder(const std::string& path) = 0;

  // An empty one.
  virtual absl::Status RemoveFolder(const std::string& path) = 0;

  // Returns once names that were made, moved or removed in the folder itself
  // are on the disk.
  virtual absl::Status SyncFolder(const std::string& path) = 0;

  // Names in the folder, sorted.
  virtual absl::StatusOr<std::vector<std::string>> List(
      const std::string& path) = 0;

  // Bytes that may be written below `path` before the disk is full.
  virtual absl::StatusOr<int64_t> FreeBytes(const std::string& path) = 0;
};

// Makes sure that the folder is there, and lasts: also where somebody else has
// made it. After an error it is no longer there, if this was who made it.
absl::Status MakeLastingFolder(Storage& storage, const std::string& folder);

// The same for the folder and those above it.
absl::Status MakeFolders(Storage& storage, const std::string& path);

// The whole file. Codes: as OpenFile's, and RESOURCE_EXHAUSTED when it is
// longer than `max_bytes`.
absl::StatusOr<std::string> ReadWholeFile(Storage& storage,
                                          const std::string& path,
                                          int64_t max_bytes);

// "folder/name".
std::string JoinPath(absl::string_view folder, absl::string_view name);

}  // namespace tessera

#endif  // TESSERA_COMMON_STORAGE_STORAGE_H_
