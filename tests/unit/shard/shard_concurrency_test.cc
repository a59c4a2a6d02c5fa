// Many threads at one store. The end state is known, so a lost or doubled push
// would show; ThreadSanitizer sees the rest.

#include <atomic>
#include <catch2/catch.hpp>
#include <random>
#include <thread>
#include <vector>

#include "common/base/mutex.h"
#include "tests/support/status.h"
#include "tests/support/test_job.h"
#include "tests/unit/shard/test_shards.h"

namespace tessera {
namespace {

constexpr int64_t kParameters = 200;
constexpr int kWorkers = 4;

Job TestJob() {
  return MakeTestJob({.parameters = kParameters,
                      .microbatches = kWorkers,
                      .optimizer = "sgd { momentum: 0.5 }"});
}

// Fetches a version and waits for it. Never inside an assertion: those are for
// the test's own thread.
absl::StatusOr<BlockVersion> PullAndWait(ShardStore& store, int block,
                                         int64_t version) {
  Mutex mutex;
  std::optional<absl::StatusOr<BlockVersion>> answer;
  store.Pull(block, version, [&](absl::StatusOr<BlockVersion> result) {
    MutexLock lock(&mutex);
    answer = std::move(result);
  });
  MutexLock lock(&mutex);
  mutex.Await([&] { return answer.has_value(); });
  return *std::move(answer);
}

// One worker: pushes its microbatch of each step, some of it twice, and waits
// for every block's next version. Gives the first thing that went wrong.
absl::Status Work(TestShards& shards, int worker, int64_t steps) {
  std::mt19937_64 random(static_cast<uint64_t>(worker));
  const MicrobatchRange range{worker, worker + 1};
  for (int64_t step = 0; step < steps; ++step) {
    const auto gradient = TestGradient(step, worker, kParameters);
    for (int i = 0; i < shards.plan().block_count(); ++i) {
      const int block = (i + worker) % shards.plan().block_count();
      for (uint64_t times = 1 + random() % 2; times > 0; --times) {
        const auto pushed = shards.Push(block, step, range, gradient, 1);
        if (!pushed.ok()) return pushed.status();
      }
    }
    for (int block = 0; block < shards.plan().block_count(); ++block) {
      const auto pulled = PullAndWait(shards.store_of(block), block, step + 1);
      if (!pulled.ok()) return pulled.status();
    }
  }
  return absl::OkStatus();
}

TEST_CASE("workers on threads end with the bits of one who does it all") {
  constexpr int64_t kSteps = 40;
  const Job job = TestJob();
  TestShards expected(job, MakeTestPlan(job, 1));
  for (int64_t step = 0; step < kSteps; ++step) {
    expected.PushAll(step, job.tree().root(),
                     TreeSum(job.tree(), step, job.tree().root(), kParameters));
  }
  TestShards shards(job, MakeTestPlan(job, 2));
  std::atomic<int64_t> steps_heard = 0;
  shards.store(0).SetStepListener([&](int64_t, int64_t step, double mean_loss) {
    if (step == steps_heard && mean_loss == 1) ++steps_heard;
  });
  std::vector<absl::Status> results(kWorkers);
  std::vector<std::thread> threads;
  for (int worker = 0; worker < kWorkers; ++worker) {
    threads.emplace_back([&, worker] {
      results[static_cast<size_t>(worker)] = Work(shards, worker, kSteps);
    });
  }
  std::atomic<bool> is_over = false;
  std::thread watcher([&] {
    while (!is_over) {
      shards.store(0).Stats();
      shards.store(1).StateHash();
    }
  });
  for (std::thread& thread : threads) thread.join();
  is_over = true;
  watcher.join();
  for (const absl::Status& result : results) REQUIRE_OK(result);
  REQUIRE(shards.Parameters() == expected.Parameters());
  REQUIRE(steps_heard == kSteps);
}

TEST_CASE("Shutdown in the middle answers everybody, exactly once") {
  const Job job = TestJob();
  TestShards shards(job, MakeTestPlan(job, 1));
  // One worker is missing, so all wait in the end.
  std::vector<absl::Status> results(kWorkers - 1);
  std::vector<std::thread> threads;
  for (int worker = 0; worker < kWorkers - 1; ++worker) {
    threads.emplace_back([&, worker] {
      results[static_cast<size_t>(worker)] = Work(shards, worker, 1000);
    });
  }
  std::atomic<int> answers = 0;
  std::thread puller([&] {
    for (int block = 0; block < shards.plan().block_count(); ++block) {
      const uint64_t ticket = shards.store(0).Pull(
          block, 1, [&](absl::StatusOr<BlockVersion>) { ++answers; });
      if (block % 2 == 0) shards.store(0).Cancel(block, ticket);
    }
  });
  // Wherever the others are by now.
  std::thread stopper([&] { shards.store(0).Shutdown(); });
  for (std::thread& thread : threads) thread.join();
  puller.join();
  stopper.join();
  for (const absl::Status& result : results) {
    REQUIRE_ERROR(result, absl::StatusCode::kUnavailable);
  }
  REQUIRE(answers == shards.plan().block_count());
}

TEST_CASE("versions are read while newer ones are made") {
  constexpr int64_t kSteps = 300;
  const Job job = TestJob();
  TestShards shards(job, MakeTestPlan(job, 1), std::vector<float>(kParameters));
  std::atomic<bool> is_over = false;
  std::atomic<int> torn = 0;
  std::vector<std::thread> readers;
  for (int i = 0; i < 2; ++i) {
    readers.emplace_back([&] {
      while (!is_over) {
        const auto version = PullAndWait(shards.store(0), 1, -1);
        // Every element of a block has had the same gradients.
        for (float value : version->values) {
          torn += value == version->values[0] ? 0 : 1;
        }
      }
    });
  }
  for (int64_t step = 0; step < kSteps; ++step) {
    shards.PushAll(step, {0, 4}, std::vector<float>(kParameters, 1));
  }
  is_over = true;
  for (std::thread& reader : readers) reader.join();
  REQUIRE(torn == 0);
}

}  // namespace
}  // namespace tessera
