// Calls from one simulated process to another: delayed, so that one overtakes
// another, or until nobody waits for them any more; lost, doubled, cut off in
// one direction or both.

#ifndef TESSERA_TESTS_SIMULATION_RECOVERY_WIRE_H_
#define TESSERA_TESTS_SIMULATION_RECOVERY_WIRE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <utility>

#include "absl/status/statusor.h"
#include "tests/simulation/event_queue.h"
#include "tests/simulation/random.h"

namespace tessera {

// A process's place: a shard's number, or kFirstWorker and up. Whoever runs
// there has it.
using Place = int;
inline constexpr Place kFirstWorker = 100;

// A process on some place. Dead ones stay, so that what is under way for them
// can be seen to come too late.
struct Process {
  virtual ~Process() = default;

  Place place = 0;
  bool alive = true;
  // Nothing happens in it before that.
  int64_t stalled_until_us = 0;
};

// Not thread-safe.
class Wire {
 public:
  // Of an answer that does not come.
  static constexpr int64_t kTimeoutUs = 300'000;

  struct Conditions {
    int64_t delay_us_max = 1000;
    double loss = 0;
    double doubled = 0;
    // Of a message that takes up to late_us_max.
    double late = 0;
    int64_t late_us_max = 4'000'000;
  };
  // Messages that something happened to.
  struct Counts {
    int64_t lost = 0;
    int64_t doubled = 0;
    int64_t late = 0;
    int64_t cut_off = 0;
  };

  Wire(EventQueue& queue, Random& random) : queue_(queue), random_(random) {}

  void SetConditions(const Conditions& conditions) { conditions_ = conditions; }
  // Messages from `from` do not come to `to`; the other way they do.
  void Cut(Place from, Place to) { cuts_.insert({from, to}); }
  void Heal() { cuts_.clear(); }
  const Counts& counts() const { return counts_; }

  // Runs `event` in the process, unless it is dead by then.
  void In(const std::shared_ptr<Process>& process, int64_t delay_us,
          std::function<void()> event) {
    queue_.After(delay_us, [this, process, event = std::move(event)]() mutable {
      if (!process->alive) return;
      const int64_t stall = process->stalled_until_us - queue_.now_us();
      if (stall > 0) return In(process, stall, std::move(event));
      event();
    });
  }

  // Runs `serve` in the process that `find` gives then, once or more, and
  // `receive` in `from`, once: with an answer, or UNAVAILABLE. Without a time
  // out, an answer that is lost is lost.
  template <typename Reply, typename Server>
  void Call(
      const std::shared_ptr<Process>& from, Place to,
      std::function<std::shared_ptr<Server>()> find,
      std::function<void(Server&, std::function<void(absl::StatusOr<Reply>)>)>
          serve,
      std::function<void(absl::StatusOr<Reply>)> receive) {
    auto answered = std::make_shared<bool>(false);
    auto answer = [this, from, answered, receive](int64_t delay,
                                                  absl::StatusOr<Reply> reply) {
      In(from, delay, [answered, receive, reply = std::move(reply)] {
        if (std::exchange(*answered, true)) return;
        receive(reply);
      });
    };
    answer(kTimeoutUs, absl::UnavailableError("no answer"));
    const int times = random_.Chance(conditions_.doubled) ? 2 : 1;
    counts_.doubled += times - 1;
    for (int i = 0; i < times; ++i) {
      if (!Passes(from->place, to)) continue;
      queue_.After(Delay(), [=, this] {
        const std::shared_ptr<Server> server = find();
        if (server == nullptr) {
          if (!Passes(to, from->place)) return;
          return answer(Delay(), absl::UnavailableError("nobody is there"));
        }
        In(server, 0, [=, this] {
          serve(*server, [=, this](absl::StatusOr<Reply> reply) {
            if (!server->alive || !Passes(to, from->place)) return;
            answer(Delay(), std::move(reply));
          });
        });
      });
    }
  }

 private:
  bool Passes(Place from, Place to) {
    const bool cut_off = cuts_.contains({from, to});
    const bool lost = !cut_off && random_.Chance(conditions_.loss);
    counts_.cut_off += cut_off ? 1 : 0;
    counts_.lost += lost ? 1 : 0;
    return !cut_off && !lost;
  }
  int64_t Delay() {
    const bool late = random_.Chance(conditions_.late);
    counts_.late += late ? 1 : 0;
    return random_.Between(
        1, late ? conditions_.late_us_max : conditions_.delay_us_max);
  }

  EventQueue& queue_;
  Random& random_;
  Conditions conditions_;
  Counts counts_;
  std::set<std::pair<Place, Place>> cuts_;
};

}  // namespace tessera

#endif  // TESSERA_TESTS_SIMULATION_RECOVERY_WIRE_H_
