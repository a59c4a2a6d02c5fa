// Restores and captures while other threads push and wait. What each version
// holds is known, so anything mixed would show; ThreadSanitizer sees the rest.

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "common/base/mutex.h"
#include "tests/support/status.h"
#include "tests/support/test_job.h"
#include "tests/unit/shard/recovery_shards.h"
#include "tests/unit/shard/test_shards.h"

namespace tessera {
namespace {

constexpr int64_t kParameters = 200;
constexpr int kWorkers = 3;
constexpr int64_t kSteps = 60;

Job TestJob() {
  return MakeTestJob({.parameters = kParameters,
                      .microbatches = kWorkers,
                      .optimizer = "sgd { momentum: 0.5 }"});
}

// Gradients of all steps, made once.
using Gradients = std::vector<std::vector<std::vector<float>>>;

Gradients MakeGradients() {
  Gradients gradients(kSteps);
  for (int64_t step = 0; step < kSteps; ++step) {
    for (int worker = 0; worker < kWorkers; ++worker) {
      gradients[static_cast<size_t>(step)].push_back(
          TestGradient(step, worker, kParameters));
    }
  }
  return gradients;
}

// Both sections of every version of an undisturbed shard.
std::vector<Sections> AllVersions() {
  const Job job = TestJob();
  TestShards shards(job, MakeTestPlan(job, 1));
  std::vector<Sections> versions;
  for (int64_t step = 0; step < kSteps; ++step) {
    versions.push_back(CaptureAll(shards, 0, step, 2));
    Train(shards, step, step + 1);
  }
  versions.push_back(CaptureAll(shards, 0, kSteps, 2));
  return versions;
}

// A worker as real ones are: learns the generation and the version, pushes its
// microbatch of every block, waits for all of the next version; when refused,
// asks again.
class Worker {
 public:
  Worker(TestShards& shards, const Gradients& gradients, int number)
      : shards_(shards), gradients_(gradients), number_(number) {}

  // Until the last step is done, and the shard goes back no more. Gives an
  // answer that there must not be, if any.
  absl::Status Run(const std::atomic<bool>& is_last_generation) {
    while (true) {
      const int64_t generation = store().generation();
      const int64_t step = store().Stats().version_min;
      if (step == kSteps) {
        if (is_last_generation && store().Stats().version_min == kSteps) {
          return absl::OkStatus();
        }
        std::this_thread::yield();
        continue;
      }
      const absl::Status status = Step(generation, step);
      // Of two facts that are read apart, one may be old.
      if (!status.ok() && !absl::IsAborted(status) &&
          !absl::IsUnavailable(status) && !absl::IsOutOfRange(status)) {
        return status;
      }
    }
  }

 private:
  ShardStore& store() { return shards_.store(0); }

  absl::Status Step(int64_t generation, int64_t step) {
    for (int block = 0; block < shards_.plan().block_count(); ++block) {
      const Interval piece = shards_.plan().BlockElements(block);
      const auto values =
          absl::MakeConstSpan(gradients_[static_cast<size_t>(step)]
                                        [static_cast<size_t>(number_)])
              .subspan(static_cast<size_t>(piece.begin),
                       static_cast<size_t>(piece.size()));
      const auto pushed =
          store().Push({.block = block,
                        .step = step,
                        .range = {number_, number_ + 1},
                        .worker = WorkerId(static_cast<uint64_t>(number_) + 1),
                        .generation = generation},
                       FragmentedBytes::OfFloats(values));
      if (!pushed.ok()) return pushed.status();
    }
    for (int block = 0; block < shards_.plan().block_count(); ++block) {
      const absl::Status pulled = Wait(block, step + 1, generation);
      if (!pulled.ok()) return pulled;
    }
    return absl::OkStatus();
  }

  absl::Status Wait(int block, int64_t version, int64_t generation) {
    Mutex mutex;
    std::optional<absl::Status> answer;
    store().Pull(
        block, version,
        [&](const absl::StatusOr<BlockVersion>& result) {
          MutexLock lock(&mutex);
          answer = result.status();
        },
        generation);
    MutexLock lock(&mutex);
    mutex.Await([&] { return answer.has_value(); });
    return *answer;
  }

  TestShards& shards_;
  const Gradients& gradients_;
  const int number_;
};

TEST_CASE("shards that go back while workers push end with the same bits") {
  const std::vector<Sections> versions = AllVersions();
  const Gradients gradients = MakeGradients();
  const Job job = TestJob();
  TestShards shards(job, MakeTestPlan(job, 1));
  ShardStore& store = shards.store(0);
  // Steps that the listener heard of, by generation; calls do not overlap.
  std::vector<std::pair<int64_t, int64_t>> heard;
  store.SetStepListener([&](int64_t generation, int64_t step, double) {
    heard.emplace_back(generation, step);
  });
  REQUIRE_OK(store.Restore(1, 0, nullptr));
  std::atomic<bool> is_last_generation = false;
  std::vector<absl::Status> results(kWorkers);
  std::vector<std::thread> threads;
  for (int i = 0; i < kWorkers; ++i) {
    threads.emplace_back([&, i] {
      results[static_cast<size_t>(i)] =
          Worker(shards, gradients, i).Run(is_last_generation);
    });
  }

  Mutex mutex;
  std::vector<std::shared_ptr<ShardSnapshot>> kept;
  int ended = 0;
  int begun = 0;
  for (int64_t generation = 2; generation < 30; ++generation) {
    const int64_t version = store.Stats().version_max + generation % 3;
    const absl::Status captured = store.Capture(
        store.generation(), version,
        [&](absl::StatusOr<std::shared_ptr<ShardSnapshot>> snapshot) {
          MutexLock lock(&mutex);
          ++ended;
          if (snapshot.ok()) kept.push_back(*std::move(snapshot));
        });
    if (captured.ok()) ++begun;
    // In the middle of a step that the workers come to, whichever.
    const int64_t meeting = std::min(kSteps, version + generation % 2);
    while (store.Stats().version_max < meeting) std::this_thread::yield();
    if (generation % 4 == 0) store.Suspend();
    // To where they were, or have not been yet.
    const int64_t back = generation % 5;
    REQUIRE_OK(store.Restore(generation, back,
                             From(versions[static_cast<size_t>(back)])));
  }
  is_last_generation = true;
  for (std::thread& thread : threads) thread.join();
  for (const absl::Status& result : results) REQUIRE_OK(result);
  // One that lay beyond the last step is still waited for.
  store.DropCapture();
  REQUIRE(begun == ended);
  REQUIRE_FALSE(kept.empty());
  REQUIRE(CaptureAll(shards, 29, kSteps, 2) == versions.back());
  for (const auto& snapshot : kept) {
    REQUIRE(ReadAll(*snapshot, 2) ==
            versions[static_cast<size_t>(snapshot->version())]);
  }
  // Every generation's steps in order, and all of the last one's.
  REQUIRE(heard.back() == std::pair<int64_t, int64_t>{29, kSteps - 1});
  for (size_t i = 1; i < heard.size(); ++i) {
    if (heard[i].first == heard[i - 1].first) {
      REQUIRE(heard[i].second == heard[i - 1].second + 1);
    } else {
      REQUIRE(heard[i].first > heard[i - 1].first);
      REQUIRE(heard[i].second == heard[i].first % 5);
    }
  }
}

TEST_CASE("a capture is refused or whole, whatever pushes come meanwhile") {
  const std::vector<Sections> versions = AllVersions();
  const Gradients gradients = MakeGradients();
  const Job job = TestJob();
  TestShards shards(job, MakeTestPlan(job, 1));
  const std::atomic<bool> is_last_generation = true;
  std::vector<absl::Status> results(kWorkers);
  std::vector<std::thread> threads;
  for (int i = 0; i < kWorkers; ++i) {
    threads.emplace_back([&, i] {
      results[static_cast<size_t>(i)] =
          Worker(shards, gradients, i).Run(is_last_generation);
    });
  }
  Mutex mutex;
  std::vector<std::shared_ptr<ShardSnapshot>> kept;
  int begun = 0;
  int ended = 0;
  while (true) {
    const ShardStats stats = shards.store(0).Stats();
    if (stats.version_min == kSteps) break;
    const absl::Status captured = shards.store(0).Capture(
        0, stats.version_min + begun % 2,
        [&](absl::StatusOr<std::shared_ptr<ShardSnapshot>> snapshot) {
          MutexLock lock(&mutex);
          ++ended;
          if (snapshot.ok()) kept.push_back(*std::move(snapshot));
        });
    if (captured.ok()) {
      ++begun;
    } else if (!absl::IsOutOfRange(captured)) {
      FAIL(captured.ToString());
    }
  }
  for (std::thread& thread : threads) thread.join();
  shards.store(0).DropCapture();
  for (const absl::Status& result : results) REQUIRE_OK(result);
  REQUIRE(begun == ended);
  // The last version is there for whoever asks now.
  REQUIRE(CaptureAll(shards, 0, kSteps, 2) == versions.back());
  for (const auto& snapshot : kept) {
    REQUIRE(ReadAll(*snapshot, 2) ==
            versions[static_cast<size_t>(snapshot->version())]);
  }
}

}  // namespace
}  // namespace tessera
