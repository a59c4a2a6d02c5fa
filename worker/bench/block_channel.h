// One worker's calls to its servers, by whatever path: what the benchmark's
// driver (pipeline.h) works on, so that every path is driven by the same code.

#ifndef TESSERA_WORKER_BENCH_BLOCK_CHANNEL_H_
#define TESSERA_WORKER_BENCH_BLOCK_CHANNEL_H_

#include <cstdint>
#include <functional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/base/mutex.h"
#include "worker/bench/point.h"

namespace tessera::bench {

// Tells the thread that drives a channel to look up.
class Signal {
 public:
  void Set() {
    MutexLock lock(&mutex_);
    set_ = true;
  }
  bool IsSet() {
    MutexLock lock(&mutex_);
    return set_;
  }
  // Waits until it is set.
  void Await() {
    MutexLock lock(&mutex_);
    mutex_.Await([this]()
                     ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return set_; });
  }
  void Clear() {
    MutexLock lock(&mutex_);
    set_ = false;
  }

 private:
  Mutex mutex_;
  bool set_ ABSL_GUARDED_BY(mutex_) = false;
};

struct BlockCall {
  Operation operation = Operation::kPushPull;  // Not kPushThenPull.
  int block = 0;
  // Of a push: the step. Of a pull: the version.
  int64_t step = 0;
  // The block's size; as it is until `done`. Empty for kPull.
  absl::Span<const float> gradient;
  // The block's size, for the values. Empty for kPush.
  absl::Span<float> to;
};

// Gets the block's values, where they lie (valid until it returns): in `to` or,
// read in place, elsewhere; empty for a push. Runs on a thread of the channel's
// or on the one that drives it, and may start calls.
using CallDone = std::function<void(absl::StatusOr<absl::Span<const float>>)>;

class BlockChannel {
 public:
  // Ends what is under way, and waits for it.
  virtual ~BlockChannel() = default;

  // Thread-safe, unless Drive says otherwise. `done` is called exactly once.
  virtual void Start(const BlockCall& call, CallDone done) = 0;

  // Lends the calling thread to the channel until `until` is set. A channel
  // without threads of its own works only here; calls to it are started by the
  // same thread, before and in callbacks.
  virtual void Drive(Signal& until) { until.Await(); }
};

}  // namespace tessera::bench

#endif  // TESSERA_WORKER_BENCH_BLOCK_CHANNEL_H_
