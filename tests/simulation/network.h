// Calls between simulated hosts: delayed, lost, late, and repeated until they
// are answered, as the real clients repeat them.

#ifndef TESSERA_TESTS_SIMULATION_NETWORK_H_
#define TESSERA_TESTS_SIMULATION_NETWORK_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include "tests/simulation/event_queue.h"
#include "tests/simulation/random.h"

namespace tessera {

struct NetworkConditions {
  int64_t delay_us_max = 1000;
  double loss = 0;  // Of each message.
  double late = 0;  // A request that arrives after it was repeated.
};

// Not thread-safe.
class Network {
 public:
  // An unanswered call is repeated after this long.
  static constexpr int64_t kRepeatUs = 150'000;

  Network(EventQueue& queue, Random& random) : queue_(queue), random_(random) {}

  void SetConditions(const NetworkConditions& conditions) {
    conditions_ = conditions;
  }

  // Runs `serve` at the other end, once or more, and gives `receive` one of the
  // answers, for as long as `wanted` holds at the caller's end.
  template <typename Reply>
  void Call(std::function<bool()> wanted,
            std::function<void(std::function<void(Reply)>)> serve,
            std::function<void(const Reply&)> receive) {
    auto call = std::make_shared<CallState<Reply>>();
    call->wanted = std::move(wanted);
    call->serve = std::move(serve);
    call->receive = std::move(receive);
    Attempt(std::move(call));
  }

 private:
  template <typename Reply>
  struct CallState {
    std::function<bool()> wanted;
    std::function<void(std::function<void(Reply)>)> serve;
    std::function<void(const Reply&)> receive;
    bool answered = false;
  };

  template <typename Reply>
  void Attempt(std::shared_ptr<CallState<Reply>> call) {
    if (call->answered || !call->wanted()) return;
    if (!random_.Chance(conditions_.loss)) {
      const int64_t lateness =
          random_.Chance(conditions_.late) ? 2 * kRepeatUs : 0;
      queue_.After(lateness + Delay(), [this, call] {
        call->serve([this, call](Reply reply) { Answer(call, reply); });
      });
    }
    queue_.After(kRepeatUs, [this, call] { Attempt(call); });
  }

  template <typename Reply>
  void Answer(std::shared_ptr<CallState<Reply>> call, const Reply& reply) {
    if (random_.Chance(conditions_.loss)) return;
    queue_.After(Delay(), [call, reply] {
      if (call->answered || !call->wanted()) return;
      call->answered = true;
      call->receive(reply);
    });
  }

  int64_t Delay() { return random_.Between(1, conditions_.delay_us_max); }

  EventQueue& queue_;
  Random& random_;
  NetworkConditions conditions_;
};

}  // namespace tessera

#endif  // TESSERA_TESTS_SIMULATION_NETWORK_H_
