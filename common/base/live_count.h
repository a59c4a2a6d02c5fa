// Counts what is still in use (calls under way, memory lent), so that what it
// uses is taken away only when nobody will come back to it.

#ifndef TESSERA_COMMON_BASE_LIVE_COUNT_H_
#define TESSERA_COMMON_BASE_LIVE_COUNT_H_

#include <utility>

#include "absl/base/thread_annotations.h"
#include "common/base/mutex.h"

namespace tessera {

// Thread-safe.
class LiveCount {
 public:
  // Counts as long as it lives. Empty when default-made.
  class Token {
   public:
    Token() = default;
    explicit Token(LiveCount& count) : count_(&count) { count.Add(1); }
    ~Token() {
      if (count_ != nullptr) count_->Add(-1);
    }
    Token(const Token&) = delete;
    Token& operator=(Token&& other) noexcept {
      std::swap(count_, other.count_);
      return *this;
    }

   private:
    LiveCount* count_ = nullptr;
  };

  // Waits until there is none.
  void AwaitNone() {
    MutexLock lock(&mutex_);
    mutex_.Await(
        [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return count_ == 0; });
  }

 private:
  void Add(int change) {
    MutexLock lock(&mutex_);
    count_ += change;
  }

  Mutex mutex_;
  int count_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace tessera

#endif  // TESSERA_COMMON_BASE_LIVE_COUNT_H_
