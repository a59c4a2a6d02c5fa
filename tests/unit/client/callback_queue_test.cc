#include "worker/client/callback_queue.h"

#include <catch2/catch.hpp>
#include <vector>

#include "absl/time/clock.h"
#include "common/base/mutex.h"

namespace tessera {
namespace {

TEST_CASE("callbacks run in the order of their times, then of posting") {
  Mutex mutex;
  std::vector<int> order;
  CallbackQueue queue;
  const auto note = [&](int number) {
    return [&, number] {
      MutexLock lock(&mutex);
      order.push_back(number);
    };
  };
  const absl::Time soon = absl::Now() + absl::Milliseconds(20);
  queue.PostAt(soon + absl::Milliseconds(20), note(4));
  queue.PostAt(soon, note(2));
  queue.PostAt(soon, note(3));
  queue.Post(note(1));
  MutexLock lock(&mutex);
  REQUIRE(mutex.AwaitFor([&] { return order.size() == 4; }, absl::Minutes(1)));
  REQUIRE(order == std::vector<int>{1, 2, 3, 4});
}

TEST_CASE("a queue that stops drops what is not due") {
  bool ran = false;
  CallbackQueue queue;
  queue.PostAt(absl::Now() + absl::Hours(1), [&ran] { ran = true; });
  queue.Stop();
  queue.Post([&ran] { ran = true; });
  REQUIRE_FALSE(ran);
}

TEST_CASE("a callback may post another") {
  Mutex mutex;
  bool done = false;
  CallbackQueue queue;
  queue.Post([&] {
    queue.Post([&] {
      MutexLock lock(&mutex);
      done = true;
    });
  });
  MutexLock lock(&mutex);
  REQUIRE(mutex.AwaitFor([&] { return done; }, absl::Minutes(1)));
}

}  // namespace
}  // namespace tessera
