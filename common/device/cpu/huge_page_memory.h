// Memory that lies in huge pages where the system gives any.
//
// A loop over blocks of 1 MiB touches a new 4 KiB page every few hundred
// nanoseconds, and neither address translation nor prefetching looks beyond the
// page's end: in 2 MiB pages, sums run up to half as fast again. Blocks are
// smaller than such a page, so they are cut from slabs:
//
//   slab:  | piece | piece | piece |  not cut yet ...  |     live = 3
//
// A slab goes back to the system once all that was cut from it has been freed.
// Freed pieces are not cut anew: whoever frees and allocates in turn, keeps
// them (BufferPool does).

#ifndef TESSERA_COMMON_DEVICE_CPU_HUGE_PAGE_MEMORY_H_
#define TESSERA_COMMON_DEVICE_CPU_HUGE_PAGE_MEMORY_H_

#include <cstddef>
#include <cstdint>
#include <map>

#include "absl/base/thread_annotations.h"
#include "common/base/mutex.h"

namespace tessera {

// Thread-safe. Everything must be freed before it goes.
class HugePageMemory {
 public:
  // Smaller pieces are not worth a slab.
  static constexpr size_t kMinBytes = size_t{64} << 10;

  HugePageMemory() = default;
  ~HugePageMemory();
  HugePageMemory(const HugePageMemory&) = delete;
  HugePageMemory& operator=(const HugePageMemory&) = delete;

  // At least kMinBytes, aligned to 64 bytes, contents undefined; null when the
  // system gives none. Only pages that are touched take memory; of the last,
  // up to 2 MiB may go unused.
  void* Allocate(size_t bytes);

  // Takes back what Allocate gave.
  void Free(void* data);

 private:
  struct Slab {
    size_t bytes = 0;
    size_t used = 0;
    int64_t live = 0;
  };
  using Slabs = std::map<uintptr_t, Slab>;  // By address.

  // A new one with room for `bytes`; the end when there is none.
  Slabs::iterator AddSlab(size_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Mutex mutex_;
  Slabs slabs_ ABSL_GUARDED_BY(mutex_);
  // That pieces are cut from now; 0 for none.
  uintptr_t current_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace tessera

#endif  // TESSERA_COMMON_DEVICE_CPU_HUGE_PAGE_MEMORY_H_
