#include "common/base/file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace tessera {
namespace {

// A rename lasts only once the folder that records it is on the disk.
absl::Status SyncDirectory(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return ErrnoStatus(absl::StrCat("cannot open folder ", path));
  absl::Cleanup closer = [fd] { close(fd); };
  if (fsync(fd) != 0) {
    return ErrnoStatus(absl::StrCat("cannot sync folder ", path));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ErrnoStatus(absl::string_view what) {
  return absl::ErrnoToStatus(errno, what);
}

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return ErrnoStatus(absl::StrCat("cannot open ", path));
  absl::Cleanup closer = [fd] { close(fd); };
  std::string contents;
  char buffer[1 << 16];
  while (true) {
    const ssize_t got = read(fd, buffer, sizeof(buffer));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus(absl::StrCat("cannot read ", path));
    if (got == 0) return contents;
    contents.append(buffer, static_cast<size_t>(got));
  }
}

absl::Status WriteFileAtomically(const std::string& path,
                                 absl::string_view contents) {
  TESSERA_ASSIGN_OR_RETURN(const std::unique_ptr<AtomicFile> file,
                           AtomicFile::Create(path));
  TESSERA_RETURN_IF_ERROR(file->Append(contents));
  return file->Commit();
}

AtomicFile::AtomicFile(std::string path, std::string temporary, int fd)
    : path_(std::move(path)), temporary_(std::move(temporary)), fd_(fd) {}

absl::StatusOr<std::unique_ptr<AtomicFile>> AtomicFile::Create(
    const std::string& path) {
  std::string temporary = absl::StrCat(path, ".tmp", getpid());
  const int fd =
      open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return ErrnoStatus(absl::StrCat("cannot create ", temporary));
  return absl::WrapUnique(new AtomicFile(path, std::move(temporary), fd));
}

AtomicFile::~AtomicFile() {
  if (fd_ >= 0) close(fd_);
  if (!committed_) unlink(temporary_.c_str());
}

absl::Status AtomicFile::Append(absl::string_view contents) {
  while (!contents.empty()) {
    const ssize_t written = write(fd_, contents.data(), contents.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      return ErrnoStatus(absl::StrCat("cannot write ", temporary_));
    }
    contents.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

absl::Status AtomicFile::Close() {
  if (fsync(fd_) != 0) {
    return ErrnoStatus(absl::StrCat("cannot sync ", temporary_));
  }
  if (close(std::exchange(fd_, -1)) != 0) {
    return ErrnoStatus(absl::StrCat("cannot close ", temporary_));
  }
  return absl::OkStatus();
}

absl::Status AtomicFile::Commit() {
  TESSERA_RETURN_IF_ERROR(Close());
  if (rename(temporary_.c_str(), path_.c_str()) != 0) {
    return ErrnoStatus(
        absl::StrCat("cannot rename ", temporary_, " to ", path_));
  }
  committed_ = true;
  const std::string parent = std::filesystem::path(path_).parent_path();
  return SyncDirectory(parent.empty() ? "." : parent);
}

absl::Status MakeDirectories(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) {
    return absl::ErrnoToStatus(error.value(),
                               absl::StrCat("cannot make folder ", path));
  }
  return absl::OkStatus();
}

}  // namespace tessera
