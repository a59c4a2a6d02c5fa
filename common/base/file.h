// Whole files, read and written.

#ifndef TESSERA_COMMON_BASE_FILE_H_
#define TESSERA_COMMON_BASE_FILE_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace tessera {

// The file's contents. Codes: NOT_FOUND, PERMISSION_DENIED, or what errno maps
// to; the message names the path.
absl::StatusOr<std::string> ReadFile(const std::string& path);

// Replaces the file as one: a reader, or a crash, sees the old contents or the
// new. Writes beside it, fsyncs, renames, and fsyncs the folder. Codes: what
// errno maps to (RESOURCE_EXHAUSTED for a full disk); the old file then stays.
absl::Status WriteFileAtomically(const std::string& path,
                                 absl::string_view contents);

// WriteFileAtomically for contents that come piece by piece. Not thread-safe.
class AtomicFile {
 public:
  // Codes of all three: as WriteFileAtomically's.
  static absl::StatusOr<std::unique_ptr<AtomicFile>> Create(
      const std::string& path);

  // Forgets what was written, unless it was committed.
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  absl::Status Append(absl::string_view contents);

  // Puts the file in its place. Once, and the last call.
  absl::Status Commit();

 private:
  AtomicFile(std::string path, std::string temporary, int fd);
  absl::Status Close();

  const std::string path_;
  const std::string temporary_;
  int fd_;
  bool committed_ = false;
};

// Makes the folder and those above it. Not an error if it is there.
absl::Status MakeDirectories(const std::string& path);

// An absl::Status for the current errno, with `what` before its text.
absl::Status ErrnoStatus(absl::string_view what);

}  // namespace tessera

#endif  // TESSERA_COMMON_BASE_FILE_H_
