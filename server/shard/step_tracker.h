// Tells when a step is complete on every block of a shard.

#ifndef TESSERA_SERVER_SHARD_STEP_TRACKER_H_
#define TESSERA_SERVER_SHARD_STEP_TRACKER_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "common/base/mutex.h"

namespace tessera {

// Thread-safe. Blocks complete their steps each at its own pace, on any thread;
// the listener hears of whole steps in order, one call at a time, outside any
// lock. When two threads complete two steps at once, one of them may make both
// calls.
class StepTracker {
 public:
  using Listener =
      std::function<void(int64_t generation, int64_t step, double mean_loss)>;

  explicit StepTracker(int block_count) : block_count_(block_count) {}

  // Before the first BlockCompleted.
  void SetListener(Listener listener) { listener_ = std::move(listener); }

  // Once for each block and step of a generation; news of one block may
  // overtake each other. `mean_loss` is taken from the one block that
  // `has_loss`, if there is one. Of a generation that is over, it is ignored.
  void BlockCompleted(int64_t generation, int64_t step, bool has_loss,
                      double mean_loss);

  // Every block goes on with `next_step`, in `generation`. Steps of the one
  // before are told of no more; but a call that has begun may still go on.
  void Reset(int64_t generation, int64_t next_step);

 private:
  struct Step {
    int blocks_done = 0;
    double mean_loss = 0;
  };
  struct Event {
    int64_t generation;
    int64_t step;
    double mean_loss;
  };

  // Moves steps that are complete from open_ to due_, in order.
  void Collect() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Calls the listener until nothing is due.
  void Deliver();

  const int block_count_;
  Listener listener_;

  Mutex mutex_;
  int64_t generation_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t next_step_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<int64_t, Step> open_ ABSL_GUARDED_BY(mutex_);
  std::deque<Event> due_ ABSL_GUARDED_BY(mutex_);
  bool is_delivering_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace tessera

#endif  // TESSERA_SERVER_SHARD_STEP_TRACKER_H_
