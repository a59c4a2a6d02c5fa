// The machine's own file systems.

#ifndef TESSERA_COMMON_STORAGE_POSIX_STORAGE_H_
#define TESSERA_COMMON_STORAGE_POSIX_STORAGE_H_

#include <memory>
#include <string>
#include <vector>

#include "common/storage/storage.h"

namespace tessera {

// Stateless, so thread-safe. New files and folders get the modes 0666 and 0777,
// less the process's umask.
class PosixStorage : public Storage {
 public:
  absl::StatusOr<std::unique_ptr<WritableFile>> CreateFile(
      const std::string& path) override;
  absl::StatusOr<std::unique_ptr<ReadableFile>> OpenFile(
      const std::string& path) override;
  absl::Status Rename(const std::string& from, const std::string& to) override;
  absl::Status RemoveFile(const std::string& path) override;
  absl::Status MakeFolder(const std::string& path) override;
  absl::Status RemoveFolder(const std::string& path) override;
  absl::Status SyncFolder(const std::string& path) override;
  absl::StatusOr<std::vector<std::string>> List(
      const std::string& path) override;
  absl::StatusOr<int64_t> FreeBytes(const std::string& path) override;
};

}  // namespace tessera

#endif  // TESSERA_COMMON_STORAGE_POSIX_STORAGE_H_
