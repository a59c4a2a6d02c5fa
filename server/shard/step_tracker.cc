#include "server/shard/step_tracker.h"

namespace tessera {

void StepTracker::BlockCompleted(int64_t generation, int64_t step,
                                 bool has_loss, double mean_loss) {
  {
    MutexLock lock(&mutex_);
    if (generation != generation_) return;
    Step& open = open_[step];
    if (has_loss) open.mean_loss = mean_loss;
    ++open.blocks_done;
    Collect();
    if (due_.empty() || is_delivering_) return;
    is_delivering_ = true;
  }
  Deliver();
}

void StepTracker::Reset(int64_t generation, int64_t next_step) {
  MutexLock lock(&mutex_);
  generation_ = generation;
  next_step_ = next_step;
  open_.clear();
  due_.clear();
}

void StepTracker::Collect() {
  while (!open_.empty()) {
    const auto& [step, open] = *open_.begin();
    if (step != next_step_ || open.blocks_done < block_count_) return;
    due_.push_back({generation_, step, open.mean_loss});
    open_.erase(open_.begin());
    ++next_step_;
  }
}

void StepTracker::Deliver() {
  while (true) {
    Event event;
    {
      MutexLock lock(&mutex_);
      if (due_.empty()) {
        is_delivering_ = false;
        return;
      }
      event = due_.front();
      due_.pop_front();
    }
    if (listener_) {
      listener_(event.generation, event.step, event.mean_loss);
    }
  }
}

}  // namespace tessera
