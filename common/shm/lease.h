// Lending shared memory to a process that may fall asleep at any moment.
//
// The owner lends pieces of its region to a session and writes to them again
// once the session is over. A reader that was stopped in between could then
// read a mixture of old and new. So the region holds a word for each session:
//
//   owner                              reader
//   change the word                    copy the bytes
//   release fence                      acquire fence
//   write to the memory                is the word as it was?  no: void
//
// If the copy saw any of the new bytes, the reader sees the changed word. This
// is the reader's half of a seqlock; for the fences see Boehm, "Can seqlocks
// get along with programming language memory models?", MSPC 2012.

#ifndef TESSERA_COMMON_SHM_LEASE_H_
#define TESSERA_COMMON_SHM_LEASE_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>

#include "absl/status/statusor.h"
#include "common/base/mutex.h"
#include "common/shm/shared_region.h"
#include "common/shm/shared_view.h"

namespace tessera {

// A word of the owner's region, and what it holds while the lease lasts. Plain
// numbers, as they are sent to the reader.
struct Lease {
  uint64_t offset = 0;  // In bytes; a multiple of 4.
  uint32_t value = 0;   // Never 0.
};

// The owner's side. Thread-safe.
class LeaseTable {
 public:
  // Sessions at a time.
  static constexpr int kMaxLeases = 1024;

  // Codes: as SharedRegion::Allocate.
  static absl::StatusOr<std::unique_ptr<LeaseTable>> Create(
      std::shared_ptr<SharedRegion> region);

  LeaseTable(const LeaseTable&) = delete;
  LeaseTable& operator=(const LeaseTable&) = delete;

  // Code: RESOURCE_EXHAUSTED when kMaxLeases are out.
  absl::StatusOr<Lease> Grant();

  // Ends a lease that Grant gave; once. What this thread, or one that
  // synchronises with it afterwards, writes to the region is then never taken
  // for valid by the reader. The word is used again, with another value.
  void Revoke(const Lease& lease);

 private:
  using Word = std::atomic<uint32_t>;
  static_assert(Word::is_always_lock_free && sizeof(Word) == sizeof(uint32_t));

  static constexpr size_t kBytes = kMaxLeases * sizeof(Word);

  LeaseTable(std::shared_ptr<SharedRegion> region, Word* words);

  const std::shared_ptr<SharedRegion> region_;
  Word* const words_;

  Mutex mutex_;
  // The longest unused first, so that values come round as late as can be.
  std::deque<int> idle_ ABSL_GUARDED_BY(mutex_);
};

// The reader's side. Immutable, so thread-safe; cheap to copy.
class LeaseCheck {
 public:
  // Code: INVALID_ARGUMENT when the lease is none that the region could hold.
  static absl::StatusOr<LeaseCheck> Create(
      std::shared_ptr<const SharedView> view, const Lease& lease);

  // Whether all that this thread has read from the region so far, of what was
  // lent under this lease, is as it was when it was lent. Never true again
  // once false.
  bool Valid() const {
    // Reads before it stay before it.
    std::atomic_thread_fence(std::memory_order_acquire);
    return word_->load(std::memory_order_relaxed) == value_;
  }

 private:
  LeaseCheck(std::shared_ptr<const SharedView> view,
             const std::atomic<uint32_t>* word, uint32_t value)
      : view_(std::move(view)), word_(word), value_(value) {}

  std::shared_ptr<const SharedView> view_;  // Keeps the word mapped.
  const std::atomic<uint32_t>* word_;
  uint32_t value_;
};

}  // namespace tessera

#endif  // TESSERA_COMMON_SHM_LEASE_H_
