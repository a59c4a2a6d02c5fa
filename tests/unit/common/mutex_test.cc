#include "common/base/mutex.h"

#include <catch2/catch.hpp>
#include <memory>
#include <thread>
#include <vector>

namespace tessera {
namespace {

struct Counter {
  Mutex mutex;
  int value ABSL_GUARDED_BY(mutex) = 0;
};

void AddOne(Counter& counter) {
  MutexLock lock(&counter.mutex);
  ++counter.value;
}

TEST_CASE("a waiter wakes when its condition comes true") {
  Counter counter;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back([&] { AddOne(counter); });
  {
    MutexLock lock(&counter.mutex);
    counter.mutex.Await([&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(counter.mutex) {
      return counter.value == 4;
    });
    REQUIRE(counter.value == 4);
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_CASE("waiters take turns, each making the next one's condition true") {
  Counter counter;
  std::vector<std::thread> threads;
  for (int turn = 7; turn >= 0; --turn) {
    threads.emplace_back([&counter, turn] {
      MutexLock lock(&counter.mutex);
      counter.mutex.Await([&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(counter.mutex) {
        return counter.value == turn;
      });
      ++counter.value;
      // Waits again without unlocking first: the others must wake all the same.
      counter.mutex.Await([&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(counter.mutex) {
        return counter.value == 8;
      });
    });
  }
  for (std::thread& thread : threads) thread.join();
  MutexLock lock(&counter.mutex);
  REQUIRE(counter.value == 8);
}

TEST_CASE("a wait with a timeout ends without its condition") {
  Counter counter;
  MutexLock lock(&counter.mutex);
  REQUIRE_FALSE(
      counter.mutex.AwaitFor([] { return false; }, absl::Milliseconds(2)));
  REQUIRE(counter.mutex.AwaitFor([] { return true; }, absl::ZeroDuration()));
}

}  // namespace
}  // namespace tessera
