#include "common/rpc/allocator.h"

#include <climits>  // Says whether this is glibc.

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace tessera {

void KeepFreedMemory() {
#ifdef __GLIBC__
  // Larger thresholds are silently refused.
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, INT_MAX);
  // Each arena keeps its own freed memory, so have few.
  mallopt(M_ARENA_MAX, 2);
#endif
}

}  // namespace tessera
