// Turns SIGTERM and SIGINT into a call on an ordinary thread.

#ifndef TESSERA_COMMON_BASE_STOP_ON_SIGNAL_H_
#define TESSERA_COMMON_BASE_STOP_ON_SIGNAL_H_

#include <signal.h>

#include <atomic>
#include <functional>
#include <thread>

namespace tessera {

// For a main function. Construct it before any other thread, so that all
// threads leave the signals to this one. The destructor waits for a call under
// way.
class StopOnSignal {
 public:
  StopOnSignal();
  ~StopOnSignal();
  StopOnSignal(const StopOnSignal&) = delete;
  StopOnSignal& operator=(const StopOnSignal&) = delete;

  // From now on, `stop` is called at each of the signals. Once only.
  void Start(std::function<void()> stop);

  // The first signal that came, or 0. Thread-safe.
  int first_signal() const { return first_signal_; }

 private:
  sigset_t signals_;
  std::atomic<bool> finished_ = false;
  std::atomic<int> first_signal_ = 0;
  std::thread thread_;
};

}  // namespace tessera

#endif  // TESSERA_COMMON_BASE_STOP_ON_SIGNAL_H_
