// A file without a disk, for readers that take a path.

#ifndef TESSERA_TESTS_FUZZ_MEMORY_FILE_H_
#define TESSERA_TESTS_FUZZ_MEMORY_FILE_H_

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "common/base/check.h"

namespace tessera {

// Not thread-safe.
class MemoryFile {
 public:
  MemoryFile()
      : fd_(memfd_create("tessera-fuzz", MFD_CLOEXEC)),
        path_(absl::StrCat("/proc/self/fd/", fd_)) {
    TESSERA_CHECK(fd_ >= 0);
  }
  ~MemoryFile() { close(fd_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  // Opens anew each time, so a reader starts at the beginning.
  const std::string& path() const { return path_; }

  // Replaces the contents.
  void Write(absl::Span<const uint8_t> bytes) {
    TESSERA_CHECK(ftruncate(fd_, 0) == 0);
    TESSERA_CHECK(pwrite(fd_, bytes.data(), bytes.size(), 0) ==
                  static_cast<ssize_t>(bytes.size()));
  }

 private:
  const int fd_;
  const std::string path_;
};

}  // namespace tessera

#endif  // TESSERA_TESTS_FUZZ_MEMORY_FILE_H_
