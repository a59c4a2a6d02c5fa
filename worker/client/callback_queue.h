// A thread that calls functions, at once or later: for what must not run where
// it becomes due, such as inside gRPC or under a caller's locks.

#ifndef TESSERA_WORKER_CLIENT_CALLBACK_QUEUE_H_
#define TESSERA_WORKER_CLIENT_CALLBACK_QUEUE_H_

#include <functional>
#include <map>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "common/base/mutex.h"

namespace tessera {

// Thread-safe, but for Stop and destruction.
class CallbackQueue {
 public:
  using Callback = std::function<void()>;

  CallbackQueue();
  ~CallbackQueue();

  // Calls `callback` as soon as those posted before have returned.
  void Post(Callback callback) { PostAt(absl::InfinitePast(), callback); }

  // Calls `callback` at this time, by the wall's clock, or soon after.
  void PostAt(absl::Time time, Callback callback);

  // Waits for a callback under way; others are dropped, now and later.
  void Stop();

 private:
  void Run();
  // Waits for a callback that is due; an empty one when the queue stops.
  Callback Next();

  Mutex mutex_;
  // In order of time, then of posting.
  std::multimap<absl::Time, Callback> callbacks_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace tessera

#endif  // TESSERA_WORKER_CLIENT_CALLBACK_QUEUE_H_
