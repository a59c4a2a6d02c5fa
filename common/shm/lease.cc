#include "common/shm/lease.h"

#include <new>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/status_macros.h"

namespace tessera {

absl::StatusOr<std::unique_ptr<LeaseTable>> LeaseTable::Create(
    std::shared_ptr<SharedRegion> region) {
  TESSERA_ASSIGN_OR_RETURN(void* const memory, region->Allocate(kBytes));
  Word* const words = new (memory) Word[kMaxLeases];
  return std::unique_ptr<LeaseTable>(new LeaseTable(std::move(region), words));
}

LeaseTable::LeaseTable(std::shared_ptr<SharedRegion> region, Word* words)
    : region_(std::move(region)), words_(words) {
  for (int i = 0; i < kMaxLeases; ++i) {
    words_[i].store(1, std::memory_order_relaxed);
    idle_.push_back(i);
  }
}

absl::StatusOr<Lease> LeaseTable::Grant() {
  MutexLock lock(&mutex_);
  if (idle_.empty()) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "memory is shared with ", kMaxLeases, " sessions, and no more can be"));
  }
  Word* const word = words_ + idle_.front();
  idle_.pop_front();
  return Lease{.offset = *region_->OffsetOf(word, sizeof(*word)),
               .value = word->load(std::memory_order_relaxed)};
}

void LeaseTable::Revoke(const Lease& lease) {
  const uint64_t first = *region_->OffsetOf(words_, kBytes);
  const auto index = static_cast<int>((lease.offset - first) / sizeof(Word));
  TESSERA_CHECK(lease.offset >= first && index < kMaxLeases);
  const uint32_t next = lease.value + 1;
  // 0 is what memory holds that was never written: no lease has that value.
  words_[index].store(next == 0 ? 1 : next, std::memory_order_relaxed);
  // Writes after it stay after it.
  std::atomic_thread_fence(std::memory_order_release);
  MutexLock lock(&mutex_);
  idle_.push_back(index);
}

absl::StatusOr<LeaseCheck> LeaseCheck::Create(
    std::shared_ptr<const SharedView> view, const Lease& lease) {
  using Word = std::atomic<uint32_t>;
  TESSERA_ASSIGN_OR_RETURN(const absl::Span<const uint8_t> bytes,
                           view->Bytes(lease.offset, sizeof(Word)));
  if (lease.offset % sizeof(Word) != 0 || lease.value == 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "no lease is a word at offset ", lease.offset, " with value ",
        lease.value, ": expected a multiple of 4, and not 0"));
  }
  return LeaseCheck(std::move(view),
                    reinterpret_cast<const Word*>(bytes.data()), lease.value);
}

}  // namespace tessera
