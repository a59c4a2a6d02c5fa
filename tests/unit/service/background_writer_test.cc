#include "server/service/background_writer.h"

#include <catch2/catch.hpp>
#include <memory>
#include <optional>
#include <string>

#include "common/base/check.h"
#include "common/base/mutex.h"
#include "server/checkpoint/writer.h"
#include "tests/support/faulty_storage.h"
#include "tests/support/status.h"

namespace tessera {
namespace {

using Code = absl::StatusCode;

// Where the result of a write will be.
class Result {
 public:
  BackgroundWriter::Done Taker() {
    return [this](absl::StatusOr<v1::CheckpointFile> file) {
      MutexLock lock(&mutex_);
      TESSERA_CHECK(!file_.has_value());
      file_ = std::move(file);
    };
  }
  absl::StatusOr<v1::CheckpointFile> Await() {
    MutexLock lock(&mutex_);
    mutex_.Await([this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return file_.has_value();
    });
    return *file_;
  }

 private:
  Mutex mutex_;
  std::optional<absl::StatusOr<v1::CheckpointFile>> file_
      ABSL_GUARDED_BY(mutex_);
};

// Lets a writer's thread come to a point and go on from there.
class Gate {
 public:
  void Pass() {
    MutexLock lock(&mutex_);
    reached_ = true;
    mutex_.Await([this]()
                     ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return open_; });
  }
  void AwaitReached() {
    MutexLock lock(&mutex_);
    mutex_.Await(
        [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return reached_; });
  }
  void Open() {
    MutexLock lock(&mutex_);
    open_ = true;
  }

 private:
  Mutex mutex_;
  bool reached_ ABSL_GUARDED_BY(mutex_) = false;
  bool open_ ABSL_GUARDED_BY(mutex_) = false;
};

// Every value is its element's number, plus 0.25 for each section.
class NumberedSnapshot : public ShardSnapshot {
 public:
  explicit NumberedSnapshot(Gate* gate = nullptr) : gate_(gate) {}

  int64_t version() const override { return 5; }
  Interval elements() const override { return {0, 40}; }
  absl::Status Read(int section, const Interval& elements,
                    absl::Span<float> out) override {
    if (gate_ != nullptr) gate_->Pass();
    for (size_t i = 0; i < out.size(); ++i) {
      out[i] = static_cast<float>(elements.begin) + static_cast<float>(i) +
               0.25F * static_cast<float>(section);
    }
    return absl::OkStatus();
  }
  void Release(int64_t) override {}

 private:
  Gate* const gate_;
};

// 40 elements in 10 pieces.
ShardHeader Header(uint64_t set_id) {
  return {.set = {.job_fingerprint = 7,
                  .version = 5,
                  .set_id = CheckpointSetId(set_id)},
          .elements = {0, 40},
          .total_elements = 40,
          .optimizer = {.kind = 1, .slots = 0},
          .piece_elements = 4};
}

std::string Path(uint64_t set_id) {
  return JoinPath(JoinPath("/sets", SetFolderName(5, CheckpointSetId(set_id))),
                  ShardFileName(0, 1));
}

class Fixture {
 public:
  Fixture() : storage(1) { REQUIRE_OK(storage.MakeFolder("/sets")); }
  FaultyStorage storage;
};

TEST_CASE("a file is written in the background") {
  Fixture f;
  BackgroundWriter writer(f.storage, {.root = "/sets"});
  Result result;
  writer.Write(Header(1), std::make_shared<NumberedSnapshot>(), result.Taker());
  const auto file = result.Await();
  REQUIRE_OK(file);
  writer.Stop();
  REQUIRE(file->file_bytes() ==
          static_cast<int64_t>(f.storage.Contents(Path(1)).size()));
}

TEST_CASE("a failure is given to who asked for the file") {
  Fixture f;
  f.storage.FailNth(StorageOp::kSync, 1, absl::UnknownError("I/O error"));
  BackgroundWriter writer(f.storage, {.root = "/sets"});
  Result result;
  writer.Write(Header(1), std::make_shared<NumberedSnapshot>(), result.Taker());
  REQUIRE_ERROR(result.Await(), Code::kUnknown, "I/O error");
  // The next set is none the worse for it.
  Result next;
  writer.Write(Header(2), std::make_shared<NumberedSnapshot>(), next.Taker());
  REQUIRE_OK(next.Await());
}

TEST_CASE("writing ends at the next piece when it is cancelled") {
  Fixture f;
  Gate gate;
  Result result;
  BackgroundWriter writer(f.storage, {.root = "/sets"});
  writer.Write(Header(1), std::make_shared<NumberedSnapshot>(&gate),
               result.Taker());
  gate.AwaitReached();
  SECTION("by name") {
    writer.Cancel();
    gate.Open();
    REQUIRE_ERROR(result.Await(), Code::kCancelled);
  }
  SECTION("by the next file") {
    Result next;
    writer.Write(Header(2), std::make_shared<NumberedSnapshot>(), next.Taker());
    gate.Open();
    REQUIRE_ERROR(result.Await(), Code::kCancelled);
    REQUIRE_OK(next.Await());
  }
}

TEST_CASE("a pause for the pace ends at once when the writer stops") {
  Fixture f;
  Result result;
  // The second piece would be due after centuries.
  BackgroundWriter writer(f.storage, {.root = "/sets", .bytes_per_second = 1});
  ShardHeader header = Header(1);
  header.elements = {0, int64_t{1} << 32};
  header.total_elements = int64_t{1} << 32;
  header.piece_elements = kMaxPieceElements;
  writer.Write(header, std::make_shared<NumberedSnapshot>(), result.Taker());
  writer.Stop();
  REQUIRE_ERROR(result.Await(), Code::kCancelled);
}

TEST_CASE("a writer that has stopped takes no more") {
  Fixture f;
  BackgroundWriter writer(f.storage, {.root = "/sets"});
  writer.Stop();
  Result result;
  writer.Write(Header(1), std::make_shared<NumberedSnapshot>(), result.Taker());
  REQUIRE_ERROR(result.Await(), Code::kCancelled);
}

}  // namespace
}  // namespace tessera
