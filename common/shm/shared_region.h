// Memory of this process that others on the machine may read.
//
//   creator                               whoever is sent the descriptor
//   SharedRegion: read and write -- fd --> SharedView: read only
//
// The region is an anonymous file (memfd_create): it has no name in any file
// system, so only processes that are sent its descriptor reach it, and it is
// gone with the last of them, however they end. It is sealed: its size is
// fixed, and nobody can map it for writing, or write to it, after its creator.

#ifndef TESSERA_COMMON_SHM_SHARED_REGION_H_
#define TESSERA_COMMON_SHM_SHARED_REGION_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/mutex.h"
#include "common/device/host_memory_source.h"
#include "common/shm/unique_fd.h"

namespace tessera {

// Pieces are cut off its front, one after the other; a piece given back is used
// again for the next of its size. Meant for few sizes, and for pools above that
// keep what they have. Thread-safe.
class SharedRegion final : public HostMemorySource {
 public:
  // `bytes` (at least 1; rounded up to whole pages) is address space: memory is
  // taken only by Allocate. Codes:
  //   UNIMPLEMENTED       this system has no sealed anonymous files, or does
  //                       not let us have them: go on without
  //   RESOURCE_EXHAUSTED  no descriptor, or no such stretch of address space
  //   INVALID_ARGUMENT    no size that a region can have
  static absl::StatusOr<std::shared_ptr<SharedRegion>> Create(uint64_t bytes);

  ~SharedRegion() override;
  SharedRegion(const SharedRegion&) = delete;
  SharedRegion& operator=(const SharedRegion&) = delete;

  // See HostMemorySource. The system's memory is taken here, so that a lack of
  // it is RESOURCE_EXHAUSTED and not a signal at the first touch. Never-used
  // memory is zero.
  absl::StatusOr<void*> Allocate(size_t bytes) override;

  // The memory stays with the region, and readable for the others.
  void Free(void* data, size_t bytes) override;

  // From now on nobody else sees what is written here: the others keep the
  // region as it is at this moment, this process goes on with a private copy,
  // made page by page as it writes, at the same addresses. For when what was
  // lent must not change although nobody knows who still reads it. Gives out
  // nothing any more, and OffsetOf finds nothing. Repeats do nothing. Not for
  // memory that a device has pinned.
  void Detach();
  bool detached() const { return detached_; }

  // How far from the region's front [data, data + bytes) begins; nothing when
  // any of it lies outside. `bytes` may be 0.
  std::optional<uint64_t> OffsetOf(const void* data, size_t bytes) const;

  uint64_t size() const { return bytes_; }

  // To be sent to others; the region's own.
  int fd() const { return fd_.get(); }

 private:
  SharedRegion(UniqueFd fd, uint8_t* data, uint64_t bytes)
      : fd_(std::move(fd)), data_(data), bytes_(bytes) {}

  // The offset of a piece of this rounded size: one given back, or a new one.
  absl::StatusOr<uint64_t> Find(uint64_t bytes);
  absl::Status TakePages(uint64_t offset, uint64_t bytes);

  const UniqueFd fd_;
  uint8_t* const data_;
  const uint64_t bytes_;
  std::atomic<bool> detached_ = false;

  Mutex mutex_;
  uint64_t cut_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  // Offsets of pieces given back, by their rounded size.
  std::map<uint64_t, std::vector<uint64_t>> idle_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tessera

#endif  // TESSERA_COMMON_SHM_SHARED_REGION_H_
