#include "common/storage/posix_storage.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"

namespace tessera {
namespace {

absl::Status Failed(absl::string_view operation, const std::string& path) {
  return ErrnoStatus(absl::StrCat("cannot ", operation, " ", path));
}

class PosixWritableFile : public WritableFile {
 public:
  PosixWritableFile(std::string path, int fd)
      : WritableFile(std::move(path)), fd_(fd) {}
  ~PosixWritableFile() override {
    if (fd_ >= 0) close(fd_);
  }

 private:
  absl::Status DoAppend(absl::string_view data) override {
    while (!data.empty()) {
      const ssize_t written = write(fd_, data.data(), data.size());
      if (written < 0 && errno == EINTR) continue;
      // A limit on the size of files is one more way to have no room.
      if (written < 0 && errno == EFBIG) errno = ENOSPC;
      if (written < 0) return Failed("write file", path());
      data.remove_prefix(static_cast<size_t>(written));
    }
    return absl::OkStatus();
  }

  // Not repeated after an error of any kind, EINTR included: see storage.h.
  absl::Status DoSync() override {
    if (fsync(fd_) != 0) return Failed("sync file", path());
    return absl::OkStatus();
  }

  absl::Status DoClose() override {
    // Linux has closed it even when a signal came; network file systems report
    // late write errors here.
    if (close(std::exchange(fd_, -1)) != 0 && errno != EINTR) {
      return Failed("close file", path());
    }
    return absl::OkStatus();
  }

  int fd_;
};

class PosixReadableFile : public ReadableFile {
 public:
  PosixReadableFile(std::string path, int fd)
      : path_(std::move(path)), fd_(fd) {}
  ~PosixReadableFile() override { close(fd_); }

  absl::StatusOr<int64_t> Size() const override {
    struct stat facts;
    if (fstat(fd_, &facts) != 0) return Failed("get size of file", path_);
    return facts.st_size;
  }

  absl::Status Read(int64_t offset, int64_t bytes, char* out) const override {
    while (bytes > 0) {
      const ssize_t got = pread(fd_, out, static_cast<size_t>(bytes), offset);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return Failed("read file", path_);
      if (got == 0) {
        return absl::OutOfRangeError(
            absl::StrCat("cannot read file ", path_, ": it ends at byte ",
                         offset, ", ", bytes, " bytes too early"));
      }
      offset += got;
      bytes -= got;
      out += got;
    }
    return absl::OkStatus();
  }

 private:
  const std::string path_;
  const int fd_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<WritableFile>> PosixStorage::CreateFile(
    const std::string& path) {
  const int fd =
      open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd < 0) return Failed("create file", path);
  return std::make_unique<PosixWritableFile>(path, fd);
}

absl::StatusOr<std::unique_ptr<ReadableFile>> PosixStorage::OpenFile(
    const std::string& path) {
  // Opening somebody's pipe must not wait for a writer.
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return Failed("open file", path);
  auto file = std::make_unique<PosixReadableFile>(path, fd);
  struct stat facts;
  if (fstat(fd, &facts) != 0) return Failed("get kind of file", path);
  if (!S_ISREG(facts.st_mode)) {
    return absl::FailedPreconditionError(
        absl::StrCat("cannot open file ", path, ": it is no regular file"));
  }
  return file;
}

absl::Status PosixStorage::Rename(const std::string& from,
                                  const std::string& to) {
  if (rename(from.c_str(), to.c_str()) != 0) {
    return Failed(absl::StrCat("rename file ", from, " to"), to);
  }
  return absl::OkStatus();
}

absl::Status PosixStorage::RemoveFile(const std::string& path) {
  if (unlink(path.c_str()) != 0) return Failed("remove file", path);
  return absl::OkStatus();
}

absl::Status PosixStorage::MakeFolder(const std::string& path) {
  if (mkdir(path.c_str(), 0777) != 0) return Failed("make folder", path);
  return absl::OkStatus();
}

absl::Status PosixStorage::RemoveFolder(const std::string& path) {
  if (rmdir(path.c_str()) != 0) return Failed("remove folder", path);
  return absl::OkStatus();
}

absl::Status PosixStorage::SyncFolder(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return Failed("open folder", path);
  absl::Cleanup closer = [fd] { close(fd); };
  if (fsync(fd) != 0) return Failed("sync folder", path);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> PosixStorage::List(
    const std::string& path) {
  std::error_code error;
  std::vector<std::string> names;
  std::filesystem::directory_iterator entries(path, error);
  const std::filesystem::directory_iterator end;
  for (; !error && entries != end; entries.increment(error)) {
    names.push_back(entries->path().filename().string());
  }
  if (error) {
    return absl::ErrnoToStatus(error.value(),
                               absl::StrCat("cannot list folder ", path));
  }
  std::sort(names.begin(), names.end());
  return names;
}

absl::StatusOr<int64_t> PosixStorage::FreeBytes(const std::string& path) {
  struct statvfs facts;
  if (statvfs(path.c_str(), &facts) != 0) {
    return Failed("get free space of", path);
  }
  return static_cast<int64_t>(facts.f_bavail) *
         static_cast<int64_t>(facts.f_frsize);
}

}  // namespace tessera
