#include "common/shm/shared_view.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <cerrno>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"

namespace tessera {
namespace {

// Other sealed files than those of plain memory (hugetlbfs) may still make a
// read fault, for lack of the pages that they are made of.
bool IsPlainMemory(int fd) {
  struct statfs system;
  return fstatfs(fd, &system) == 0 && system.f_type == TMPFS_MAGIC;
}

absl::StatusOr<uint64_t> CheckedSize(int fd, uint64_t max_bytes) {
  const int seals = fcntl(fd, F_GET_SEALS);
  struct stat file;
  if (seals < 0 || (seals & F_SEAL_SHRINK) == 0 || !IsPlainMemory(fd) ||
      fstat(fd, &file) != 0 || file.st_size <= 0) {
    return absl::InvalidArgumentError(
        "the other side's descriptor is no region: expected a memfd of at "
        "least 1 byte, sealed against shrinking");
  }
  const auto bytes = static_cast<uint64_t>(file.st_size);
  if (bytes > max_bytes) {
    return absl::OutOfRangeError(absl::StrCat("the other side's region has ",
                                              bytes, " bytes, where at most ",
                                              max_bytes, " are accepted"));
  }
  return bytes;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const SharedView>> SharedView::Map(
    UniqueFd fd, uint64_t max_bytes) {
  // The size can grow after this, unless it is sealed: we keep to what it was.
  TESSERA_ASSIGN_OR_RETURN(const uint64_t bytes,
                           CheckedSize(fd.get(), max_bytes));
  void* const data =
      mmap(nullptr, bytes, PROT_READ, MAP_SHARED | MAP_NORESERVE, fd.get(), 0);
  if (data == MAP_FAILED && errno == EACCES) {
    return absl::InvalidArgumentError(
        "the other side's region may not be read: expected a descriptor that "
        "is open for reading");
  }
  if (data == MAP_FAILED) {
    return absl::ResourceExhaustedError(
        absl::StrCat("cannot map the other side's region of ", bytes,
                     " bytes: ", std::strerror(errno)));
  }
  return std::shared_ptr<const SharedView>(
      new SharedView(static_cast<const uint8_t*>(data), bytes));
}

SharedView::~SharedView() { munmap(const_cast<uint8_t*>(data_), bytes_); }

absl::StatusOr<absl::Span<const uint8_t>> SharedView::Bytes(
    uint64_t offset, uint64_t length) const {
  // In this order, no sum can overflow.
  if (offset > bytes_ || length > bytes_ - offset) {
    return absl::InvalidArgumentError(absl::StrCat(
        length, " bytes at offset ", offset,
        " do not lie in the shared region, which has ", bytes_, " bytes"));
  }
  return absl::MakeConstSpan(data_ + offset, length);
}

}  // namespace tessera
