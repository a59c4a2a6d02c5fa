#include "worker/client/callback_queue.h"

#include <utility>

namespace tessera {

CallbackQueue::CallbackQueue() : thread_([this] { Run(); }) {}

CallbackQueue::~CallbackQueue() { Stop(); }

void CallbackQueue::PostAt(absl::Time time, Callback callback) {
  MutexLock lock(&mutex_);
  if (!stopping_) callbacks_.emplace(time, std::move(callback));
}

void CallbackQueue::Stop() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
  }
  if (thread_.joinable()) thread_.join();
  std::multimap<absl::Time, Callback> dropped;
  MutexLock lock(&mutex_);
  dropped.swap(callbacks_);
}

void CallbackQueue::Run() {
  while (Callback callback = Next()) callback();
}

CallbackQueue::Callback CallbackQueue::Next() {
  MutexLock lock(&mutex_);
  while (!stopping_) {
    const absl::Time due =
        callbacks_.empty() ? absl::InfiniteFuture() : callbacks_.begin()->first;
    if (due <= absl::Now()) {
      Callback callback = std::move(callbacks_.begin()->second);
      callbacks_.erase(callbacks_.begin());
      return callback;
    }
    const auto changed = [this, due]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return stopping_ ||
             (!callbacks_.empty() && callbacks_.begin()->first < due);
    };
    mutex_.AwaitUntil(changed, due);
  }
  return nullptr;
}

}  // namespace tessera
