// A mutex on which one waits for conditions, like absl::Mutex's conditional
// critical sections.
//
// It stands on std::mutex because ThreadSanitizer knows that one; Debian's
// Abseil is not instrumented, so every use of absl::Mutex would be reported as
// a race. Locks are annotated for clang's -Wthread-safety.

#ifndef TESSERA_COMMON_BASE_MUTEX_H_
#define TESSERA_COMMON_BASE_MUTEX_H_

#include <condition_variable>
#include <mutex>

#include "absl/base/thread_annotations.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace tessera {

// Thread-safe, of course. Waiting for a condition releases the mutex; whoever
// unlocks it wakes all waiters, which look at their conditions again.
class ABSL_LOCKABLE Mutex {
 public:
  Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  void Lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() { mutex_.lock(); }

  void Unlock() ABSL_UNLOCK_FUNCTION() {
    // While it is still locked, so that a waiter may destroy it afterwards.
    if (waiters_ > 0) changed_.notify_all();
    mutex_.unlock();
  }

  // Tells clang's analysis that the mutex is held: for conditions, which it
  // looks at out of context.
  void AssertHeld() const ABSL_ASSERT_EXCLUSIVE_LOCK() {}

  // Returns once `condition()`, called under the mutex, gives true. Clang looks
  // at a lambda by itself: annotate it with ABSL_EXCLUSIVE_LOCKS_REQUIRED.
  template <typename Condition>
  void Await(Condition condition) ABSL_EXCLUSIVE_LOCKS_REQUIRED(this) {
    AwaitUntil(condition, absl::InfiniteFuture());
  }

  // Likewise, but for `timeout` at most. Whether the condition holds.
  template <typename Condition>
  bool AwaitFor(Condition condition, absl::Duration timeout)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(this) {
    return AwaitUntil(condition, absl::Now() + timeout);
  }

  // Likewise, until `deadline`.
  template <typename Condition>
  bool AwaitUntil(Condition condition, absl::Time deadline)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(this) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    // What this thread has changed may be what others wait for.
    if (waiters_ > 0) changed_.notify_all();
    ++waiters_;
    std::unique_lock<std::mutex> lock(mutex_, std::adopt_lock);
    bool holds = condition();
    while (!holds && absl::Now() < deadline) {
      if (deadline == absl::InfiniteFuture()) {
        changed_.wait(lock);
      } else {
        changed_.wait_until(lock, absl::ToChronoTime(deadline));
      }
      holds = condition();
    }
    lock.release();
    --waiters_;
    return holds;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int waiters_ = 0;  // Under mutex_.
};

// Holds a mutex for a scope.
class ABSL_SCOPED_LOCKABLE MutexLock {
 public:
  explicit MutexLock(Mutex* mutex) ABSL_EXCLUSIVE_LOCK_FUNCTION(mutex)
      : mutex_(mutex) {
    mutex_->Lock();
  }
  ~MutexLock() ABSL_UNLOCK_FUNCTION() { mutex_->Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex* const mutex_;
};

}  // namespace tessera

#endif  // TESSERA_COMMON_BASE_MUTEX_H_
