// A shard store that knows how many pulls wait in it.

#ifndef TESSERA_TESTS_UNIT_SERVICE_COUNTING_STORE_H_
#define TESSERA_TESTS_UNIT_SERVICE_COUNTING_STORE_H_

#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "common/base/mutex.h"
#include "server/shard/shard_store.h"

namespace tessera {

// Passes everything on. Thread-safe.
class CountingStore : public ShardStore {
 public:
  explicit CountingStore(ShardStore& store) : store_(store) {}

  // Whether just `count` pulls wait, now or before long.
  bool AwaitWaiting(int count) {
    MutexLock lock(&mutex_);
    return mutex_.AwaitFor([this, count]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(
                               mutex_) { return waiting_ == count; },
                           absl::Minutes(1));
  }

  uint64_t Pull(int block, int64_t version, PullCallback done,
                int64_t generation) override {
    Add(1);
    return store_.Pull(
        block, version,
        [this, done = std::move(done)](auto result) {
          done(std::move(result));
          Add(-1);
        },
        generation);
  }

  void SetStepListener(StepListener listener) override {
    store_.SetStepListener(std::move(listener));
  }
  absl::StatusOr<PushResult> Push(const Contribution& contribution,
                                  const FragmentedBytes& payload) override {
    return store_.Push(contribution, payload);
  }
  void Cancel(int block, uint64_t ticket) override {
    store_.Cancel(block, ticket);
  }
  void Shutdown() override { store_.Shutdown(); }
  void Suspend() override { store_.Suspend(); }
  absl::Status Restore(int64_t generation, int64_t version,
                       const SectionSource& source) override {
    return store_.Restore(generation, version, source);
  }
  absl::Status Capture(int64_t generation, int64_t version,
                       CaptureDone done) override {
    return store_.Capture(generation, version, std::move(done));
  }
  void DropCapture() override { store_.DropCapture(); }
  int64_t generation() const override { return store_.generation(); }
  ShardStats Stats() const override { return store_.Stats(); }
  uint64_t StateHash() const override { return store_.StateHash(); }

 private:
  void Add(int change) {
    MutexLock lock(&mutex_);
    waiting_ += change;
  }

  ShardStore& store_;
  Mutex mutex_;
  int waiting_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace tessera

#endif  // TESSERA_TESTS_UNIT_SERVICE_COUNTING_STORE_H_
