#include "common/device/cpu/huge_page_memory.h"

#include <sys/mman.h>

#include <algorithm>

#include "common/base/check.h"

namespace tessera {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;
// Of address space: what is not cut is not touched.
constexpr size_t kSlabBytes = size_t{32} << 20;
constexpr size_t kAlignment = 64;

constexpr size_t RoundUp(size_t bytes, size_t unit) {
  return (bytes + unit - 1) / unit * unit;
}

// Whole huge pages, at the begin of one; 0 when there are none.
uintptr_t Map(size_t bytes) {
  // One page more, since the system does not care where huge pages begin.
  const size_t mapped = bytes + kHugePage;
  void* const start = mmap(nullptr, mapped, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (start == MAP_FAILED) return 0;
  const auto from = reinterpret_cast<uintptr_t>(start);
  const uintptr_t at = RoundUp(from, kHugePage);
  if (at > from) munmap(start, at - from);
  munmap(reinterpret_cast<void*>(at + bytes), from + mapped - (at + bytes));
#ifdef MADV_HUGEPAGE
  // A wish: without huge pages it is memory all the same.
  (void)madvise(reinterpret_cast<void*>(at), bytes, MADV_HUGEPAGE);
#endif
  return at;
}

}  // namespace

HugePageMemory::~HugePageMemory() { TESSERA_CHECK(slabs_.empty()); }

HugePageMemory::Slabs::iterator HugePageMemory::AddSlab(size_t bytes) {
  const size_t rounded = RoundUp(std::max(bytes, kSlabBytes), kHugePage);
  const uintptr_t at = Map(rounded);
  if (at == 0) return slabs_.end();
  return slabs_.emplace(at, Slab{.bytes = rounded}).first;
}

void* HugePageMemory::Allocate(size_t bytes) {
  bytes = RoundUp(bytes, kAlignment);
  MutexLock lock(&mutex_);
  auto slab = slabs_.find(current_);
  if (slab == slabs_.end() || slab->second.bytes - slab->second.used < bytes) {
    slab = AddSlab(bytes);
    if (slab == slabs_.end()) return nullptr;
    current_ = slab->first;
  }
  const uintptr_t at = slab->first + slab->second.used;
  slab->second.used += bytes;
  ++slab->second.live;
  return reinterpret_cast<void*>(at);
}

void HugePageMemory::Free(void* data) {
  MutexLock lock(&mutex_);
  auto slab = slabs_.upper_bound(reinterpret_cast<uintptr_t>(data));
  TESSERA_CHECK(slab != slabs_.begin());
  --slab;
  if (--slab->second.live > 0) return;
  munmap(reinterpret_cast<void*>(slab->first), slab->second.bytes);
  slabs_.erase(slab);
}

}  // namespace tessera
