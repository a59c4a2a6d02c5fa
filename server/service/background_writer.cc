#include "server/service/background_writer.h"

#include <utility>

#include "absl/time/clock.h"
#include "common/base/status_macros.h"
#include "server/checkpoint/pacer.h"
#include "server/checkpoint/writer.h"

namespace tessera {
namespace {

absl::Status WasCancelled() {
  return absl::CancelledError("the writing of the shard's file was given up");
}

}  // namespace

// A snapshot, for the writer of files.
class BackgroundWriter::Source : public CheckpointSource {
 public:
  explicit Source(ShardSnapshot& snapshot) : snapshot_(snapshot) {}

  absl::Status Read(int section, const Interval& elements,
                    absl::Span<float> out) override {
    return snapshot_.Read(section, elements, out);
  }
  void Release(int64_t end) override { snapshot_.Release(end); }

 private:
  ShardSnapshot& snapshot_;
};

// The pace of the options, and an end when the writing is cancelled.
class BackgroundWriter::CancellablePacer : public Pacer {
 public:
  explicit CancellablePacer(BackgroundWriter& writer) : writer_(writer) {
    if (writer.options_.bytes_per_second == 0) return;
    rate_.emplace(
        RatePacer::Options{.bytes_per_second = writer.options_.bytes_per_second,
                           .now = absl::Now,
                           .wait_until = [&writer](absl::Time t) {
                             return writer.PauseUntil(t);
                           }});
  }

  absl::Status Admit(int64_t bytes) override {
    // A disk that is slower than the rate never has to wait for it.
    TESSERA_RETURN_IF_ERROR(writer_.PauseUntil(absl::InfinitePast()));
    return rate_.has_value() ? rate_->Admit(bytes) : absl::OkStatus();
  }

 private:
  BackgroundWriter& writer_;
  std::optional<RatePacer> rate_;
};

BackgroundWriter::BackgroundWriter(Storage& storage, Options options)
    : storage_(storage),
      options_(std::move(options)),
      thread_([this] { Run(); }) {}

BackgroundWriter::~BackgroundWriter() { Stop(); }

void BackgroundWriter::Write(const ShardHeader& header,
                             std::shared_ptr<ShardSnapshot> snapshot,
                             Done done) {
  std::optional<Task> replaced =
      Task{header, std::move(snapshot), std::move(done)};
  {
    MutexLock lock(&mutex_);
    cancelled_ = true;
    // After Stop nobody would come for it.
    if (!stopping_) std::swap(task_, replaced);
  }
  if (!replaced.has_value()) return;
  replaced->snapshot.reset();
  replaced->done(WasCancelled());
}

void BackgroundWriter::Cancel() {
  std::optional<Task> dropped;
  {
    MutexLock lock(&mutex_);
    cancelled_ = true;
    std::swap(task_, dropped);
  }
  if (!dropped.has_value()) return;
  dropped->snapshot.reset();
  dropped->done(WasCancelled());
}

void BackgroundWriter::Stop() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
  }
  Cancel();
  if (thread_.joinable()) thread_.join();
}

absl::Status BackgroundWriter::PauseUntil(absl::Time time) {
  MutexLock lock(&mutex_);
  const bool cancelled = mutex_.AwaitUntil(
      [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return cancelled_; },
      time);
  return cancelled ? WasCancelled() : absl::OkStatus();
}

absl::StatusOr<v1::CheckpointFile> BackgroundWriter::WriteFile(
    const Task& task) {
  Source source(*task.snapshot);
  CancellablePacer pacer(*this);
  return WriteShardFile(storage_, options_.root, task.header, source, pacer);
}

void BackgroundWriter::Run() {
  while (true) {
    Task task;
    {
      MutexLock lock(&mutex_);
      mutex_.Await([this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
        return stopping_ || task_.has_value();
      });
      if (!task_.has_value()) return;
      task = *std::exchange(task_, std::nullopt);
      cancelled_ = false;
    }
    auto file = WriteFile(task);
    task.snapshot.reset();
    task.done(std::move(file));
  }
}

}  // namespace tessera
