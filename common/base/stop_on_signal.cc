#include "common/base/stop_on_signal.h"

#include <pthread.h>

#include <utility>

namespace tessera {

StopOnSignal::StopOnSignal() {
  sigemptyset(&signals_);
  sigaddset(&signals_, SIGTERM);
  sigaddset(&signals_, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
}

void StopOnSignal::Start(std::function<void()> stop) {
  thread_ = std::thread([this, stop = std::move(stop)] {
    while (true) {
      int signal = 0;
      sigwait(&signals_, &signal);
      if (finished_) return;
      if (first_signal_ == 0) first_signal_ = signal;
      stop();
    }
  });
}

StopOnSignal::~StopOnSignal() {
  if (!thread_.joinable()) return;
  finished_ = true;
  // Wakes the thread from its wait.
  pthread_kill(thread_.native_handle(), SIGTERM);
  thread_.join();
}

}  // namespace tessera
