// Virtual time: events run in order of their time, those of the same time in
// the order in which they were added.

#ifndef TESSERA_TESTS_SIMULATION_EVENT_QUEUE_H_
#define TESSERA_TESTS_SIMULATION_EVENT_QUEUE_H_

#include <cstdint>
#include <functional>
#include <queue>
#include <utility>
#include <vector>

#include "absl/time/time.h"

namespace tessera {

// Not thread-safe.
class EventQueue {
 public:
  using Event = std::function<void()>;

  int64_t now_us() const { return now_us_; }
  // The same, from an epoch that is not zero, as real clocks have it.
  absl::Time now() const {
    return absl::FromUnixSeconds(1'000'000) + absl::Microseconds(now_us_);
  }

  void After(int64_t delay_us, Event event) {
    entries_.push({now_us_ + delay_us, added_++, std::move(event)});
  }

  // Runs the next event; false when there is none.
  bool RunOne() {
    if (entries_.empty()) return false;
    // Moving from the top is safe: it is popped at once.
    Entry entry = std::move(const_cast<Entry&>(entries_.top()));
    entries_.pop();
    now_us_ = entry.time_us;
    entry.event();
    return true;
  }

 private:
  struct Entry {
    int64_t time_us;
    int64_t order;
    Event event;

    bool operator<(const Entry& other) const {
      return std::pair(other.time_us, other.order) < std::pair(time_us, order);
    }
  };

  int64_t now_us_ = 0;
  int64_t added_ = 0;
  std::priority_queue<Entry> entries_;
};

}  // namespace tessera

#endif  // TESSERA_TESTS_SIMULATION_EVENT_QUEUE_H_
