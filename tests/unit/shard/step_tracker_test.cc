#include "server/shard/step_tracker.h"

#include <catch2/catch.hpp>
#include <thread>
#include <utility>
#include <vector>

namespace tessera {
namespace {

using Heard = std::vector<std::pair<int64_t, double>>;

TEST_CASE("a step is told of once all blocks are done, with its loss") {
  StepTracker tracker(3);
  Heard heard;
  tracker.SetListener([&](int64_t, int64_t step, double loss) {
    heard.emplace_back(step, loss);
  });
  tracker.BlockCompleted(0, 0, false, 9);
  tracker.BlockCompleted(0, 0, true, 0.5);
  REQUIRE(heard.empty());
  tracker.BlockCompleted(0, 0, false, 9);
  REQUIRE(heard == Heard{{0, 0.5}});
}

TEST_CASE("steps are told of in order, although news overtakes news") {
  StepTracker tracker(2);
  Heard heard;
  tracker.SetListener([&](int64_t, int64_t step, double loss) {
    heard.emplace_back(step, loss);
  });
  tracker.BlockCompleted(0, 1, true, 11);
  tracker.BlockCompleted(0, 0, false, 0);
  tracker.BlockCompleted(0, 1, false, 0);
  tracker.BlockCompleted(0, 2, true, 12);
  REQUIRE(heard.empty());
  tracker.BlockCompleted(0, 0, true, 10);
  REQUIRE(heard == Heard{{0, 10}, {1, 11}});
}

TEST_CASE("a whole step waits for the one before it") {
  StepTracker tracker(1);
  Heard heard;
  tracker.SetListener([&](int64_t, int64_t step, double loss) {
    heard.emplace_back(step, loss);
  });
  tracker.BlockCompleted(0, 1, true, 11);
  REQUIRE(heard.empty());
  tracker.BlockCompleted(0, 0, true, 10);
  REQUIRE(heard == Heard{{0, 10}, {1, 11}});
}

TEST_CASE("a listener may cause the next step") {
  StepTracker tracker(1);
  Heard heard;
  tracker.SetListener([&](int64_t, int64_t step, double loss) {
    heard.emplace_back(step, loss);
    if (step < 3) tracker.BlockCompleted(0, step + 1, true, loss + 1);
  });
  tracker.BlockCompleted(0, 0, true, 0);
  REQUIRE(heard == Heard{{0, 0}, {1, 1}, {2, 2}, {3, 3}});
}

TEST_CASE("after Reset the next generation's steps are told of") {
  StepTracker tracker(2);
  std::vector<std::pair<int64_t, int64_t>> heard;
  tracker.SetListener([&](int64_t generation, int64_t step, double) {
    heard.emplace_back(generation, step);
  });
  tracker.BlockCompleted(0, 0, true, 1);
  tracker.BlockCompleted(0, 1, true, 1);
  tracker.Reset(3, 5);
  // They were on their way.
  tracker.BlockCompleted(0, 0, false, 1);
  tracker.BlockCompleted(0, 5, false, 1);
  tracker.BlockCompleted(3, 5, true, 1);
  REQUIRE(heard.empty());
  tracker.BlockCompleted(3, 5, false, 1);
  REQUIRE(heard == std::vector<std::pair<int64_t, int64_t>>{{3, 5}});
}

TEST_CASE("a listener that resets is told of nothing that was due") {
  StepTracker tracker(1);
  std::vector<std::pair<int64_t, int64_t>> heard;
  tracker.SetListener([&](int64_t generation, int64_t step, double) {
    heard.emplace_back(generation, step);
    if (generation > 0) return;
    tracker.BlockCompleted(0, step + 1, true, 1);
    tracker.Reset(1, 0);
    tracker.BlockCompleted(1, 0, true, 1);
  });
  tracker.BlockCompleted(0, 0, true, 1);
  REQUIRE(heard == std::vector<std::pair<int64_t, int64_t>>{{0, 0}, {1, 0}});
}

TEST_CASE("no listener is fine") {
  StepTracker tracker(1);
  tracker.BlockCompleted(0, 0, true, 1);
  tracker.BlockCompleted(0, 1, true, 1);
}

TEST_CASE("threads complete blocks; one at a time is told of, in order") {
  constexpr int kThreads = 4;
  constexpr int64_t kSteps = 500;
  StepTracker tracker(kThreads);
  std::vector<int64_t> heard;  // No lock: calls do not overlap.
  tracker.SetListener(
      [&](int64_t, int64_t step, double) { heard.push_back(step); });
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&tracker, i] {
      for (int64_t step = 0; step < kSteps; ++step) {
        tracker.BlockCompleted(0, step, i == 0, 1);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  REQUIRE(heard.size() == kSteps);
  for (size_t i = 0; i < heard.size(); ++i) {
    REQUIRE(heard[i] == static_cast<int64_t>(i));
  }
}

}  // namespace
}  // namespace tessera
