#include "common/shm/shared_region.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"

// Linux 6.3; not in every C library's headers yet.
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

namespace tessera {
namespace {

constexpr uint64_t kAlignment = 64;
// From here on a piece begins at a page. Smaller ones would waste too much.
constexpr uint64_t kPagedBytes = 64 << 10;

uint64_t PageBytes() {
  static const auto bytes = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  return bytes;
}

uint64_t AlignmentOf(uint64_t bytes) {
  return bytes >= kPagedBytes ? PageBytes() : kAlignment;
}

uint64_t RoundUp(uint64_t bytes, uint64_t to) {
  return (bytes + to - 1) / to * to;
}

// What a piece really takes.
uint64_t PieceBytes(uint64_t bytes) {
  return std::max(kAlignment, RoundUp(bytes, AlignmentOf(bytes)));
}

absl::Status Unsupported(absl::string_view what) {
  return absl::UnimplementedError(
      absl::StrCat("no memory can be shared, as this system has no ", what,
                   " or does not allow it (", std::strerror(errno), ")"));
}

// Beyond the limit, ftruncate would end the process with SIGXFSZ.
absl::Status CheckFileSizeLimit(uint64_t bytes) {
  rlimit limit;
  if (getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ||
      limit.rlim_cur >= bytes) {
    return absl::OkStatus();
  }
  return absl::ResourceExhaustedError(
      absl::StrCat("no shared region of ", bytes, " bytes: files may have ",
                   limit.rlim_cur, " (ulimit -f)"));
}

// A descriptor of that many zero bytes, none of them in memory yet.
absl::StatusOr<UniqueFd> MakeFile(uint64_t bytes) {
  TESSERA_RETURN_IF_ERROR(CheckFileSizeLimit(bytes));
  constexpr unsigned kFlags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  // Some systems want files to be unfit for execution; older ones do not know
  // the flag.
  UniqueFd fd(memfd_create("tessera", kFlags | MFD_NOEXEC_SEAL));
  if (!fd && errno == EINVAL) fd = UniqueFd(memfd_create("tessera", kFlags));
  if (!fd && (errno == EMFILE || errno == ENFILE || errno == ENOMEM)) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "no descriptor for a shared region: ", std::strerror(errno)));
  }
  if (!fd) return Unsupported("memfd_create");
  if (ftruncate(fd.get(), static_cast<off_t>(bytes)) != 0) {
    return ErrnoStatus(
        absl::StrCat("cannot size a shared region to ", bytes, " bytes"));
  }
  return fd;
}

}  // namespace

absl::StatusOr<std::shared_ptr<SharedRegion>> SharedRegion::Create(
    uint64_t bytes) {
  constexpr auto kMax =
      static_cast<uint64_t>(std::numeric_limits<int64_t>::max() / 2);
  if (bytes < 1 || bytes > kMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("a shared region has 1 to ", kMax, " bytes, not ", bytes));
  }
  bytes = RoundUp(bytes, PageBytes());
  TESSERA_ASSIGN_OR_RETURN(UniqueFd fd, MakeFile(bytes));
  void* const data = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_NORESERVE, fd.get(), 0);
  if (data == MAP_FAILED) {
    return absl::ResourceExhaustedError(
        absl::StrCat("no address space for a shared region of ", bytes,
                     " bytes: ", std::strerror(errno)));
  }
  // Owns the mapping from here on.
  std::shared_ptr<SharedRegion> region(
      new SharedRegion(std::move(fd), static_cast<uint8_t*>(data), bytes));
  // Only now, as it must not keep ourselves from writing.
  if (fcntl(region->fd(), F_ADD_SEALS,
            F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) !=
      0) {
    return Unsupported("F_SEAL_FUTURE_WRITE (Linux 5.1)");
  }
  return region;
}

SharedRegion::~SharedRegion() { munmap(data_, bytes_); }

absl::StatusOr<uint64_t> SharedRegion::Find(uint64_t bytes) {
  MutexLock lock(&mutex_);
  std::vector<uint64_t>& idle = idle_[bytes];
  if (!idle.empty()) {
    const uint64_t offset = idle.back();
    idle.pop_back();
    return offset;
  }
  const uint64_t offset = RoundUp(cut_bytes_, AlignmentOf(bytes));
  if (offset > bytes_ || bytes > bytes_ - offset) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "no room for ", bytes, " bytes in the shared region: ", cut_bytes_,
        " of its ", bytes_, " are taken"));
  }
  cut_bytes_ = offset + bytes;
  return offset;
}

absl::Status SharedRegion::TakePages(uint64_t offset, uint64_t bytes) {
  int result;
  do {
    result = fallocate(fd_.get(), 0, static_cast<off_t>(offset),
                       static_cast<off_t>(bytes));
  } while (result != 0 && errno == EINTR);
  if (result == 0 || errno == EOPNOTSUPP) {
    // Map them too, so that no step pays for a first touch. Linux 5.14; without
    // it, the touch does it.
    madvise(data_ + offset, bytes, MADV_POPULATE_WRITE);
    return absl::OkStatus();
  }
  return absl::ResourceExhaustedError(
      absl::StrCat("no memory for ", bytes,
                   " bytes of the shared region: ", std::strerror(errno)));
}

absl::StatusOr<void*> SharedRegion::Allocate(size_t bytes) {
  if (detached_) {
    return absl::ResourceExhaustedError("the shared region is shared no more");
  }
  if (bytes > bytes_) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "no room for ", bytes, " bytes in a shared region of ", bytes_));
  }
  const uint64_t piece = PieceBytes(bytes);
  TESSERA_ASSIGN_OR_RETURN(const uint64_t offset, Find(piece));
  void* const data = data_ + offset;
  const absl::Status status = TakePages(offset, piece);
  if (status.ok()) return data;
  Free(data, bytes);
  return status;
}

void SharedRegion::Free(void* data, size_t bytes) {
  MutexLock lock(&mutex_);
  idle_[PieceBytes(bytes)].push_back(
      static_cast<uint64_t>(static_cast<uint8_t*>(data) - data_));
}

void SharedRegion::Detach() {
  if (detached_.exchange(true)) return;
  // The kernel swaps the mapping at one moment: writes of other threads come
  // before it, and everybody sees them, or after it, and nobody does.
  void* const data =
      mmap(data_, bytes_, PROT_READ | PROT_WRITE,
           MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, fd_.get(), 0);
  // A mapping that is only replaced needs nothing that could be lacking.
  TESSERA_CHECK(data == data_);
}

std::optional<uint64_t> SharedRegion::OffsetOf(const void* data,
                                               size_t bytes) const {
  if (detached_) return std::nullopt;
  const auto begin = reinterpret_cast<uintptr_t>(data_);
  const auto address = reinterpret_cast<uintptr_t>(data);
  if (address < begin || address - begin > bytes_) return std::nullopt;
  const uint64_t offset = address - begin;
  if (bytes > bytes_ - offset) return std::nullopt;
  return offset;
}

}  // namespace tessera
