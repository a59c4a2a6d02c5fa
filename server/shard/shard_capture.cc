#include "server/shard/shard_capture.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "common/base/check.h"
#include "common/base/status_macros.h"

namespace tessera {
namespace {

class Snapshot final : public ShardSnapshot {
 public:
  Snapshot(Device& device, std::vector<Interval> elements, int64_t version,
           std::vector<BlockSnapshot> blocks)
      : device_(device),
        elements_(std::move(elements)),
        version_(version),
        blocks_(std::move(blocks)) {}

  int64_t version() const override { return version_; }
  Interval elements() const override {
    return {elements_.front().begin, elements_.back().end};
  }

  absl::Status Read(int section, const Interval& wanted,
                    absl::Span<float> out) override {
    TESSERA_CHECK(static_cast<int64_t>(out.size()) == wanted.size());
    for (int64_t at = wanted.begin; at < wanted.end;) {
      const size_t block = BlockOf(at);
      const int64_t end = std::min(elements_[block].end, wanted.end);
      TESSERA_RETURN_IF_ERROR(
          Copy(section, block, {at, end},
               out.data() + static_cast<size_t>(at - wanted.begin)));
      at = end;
    }
    return absl::OkStatus();
  }

  void Release(int64_t end) override {
    for (; released_ < blocks_.size() && elements_[released_].end <= end;
         ++released_) {
      blocks_[released_] = BlockSnapshot();
    }
  }

 private:
  size_t BlockOf(int64_t element) const {
    const auto after = std::partition_point(
        elements_.begin(), elements_.end(),
        [element](const Interval& block) { return block.end <= element; });
    TESSERA_CHECK(after != elements_.end() && after->Contains(element));
    return static_cast<size_t>(after - elements_.begin());
  }

  absl::Status Copy(int section, size_t block, const Interval& wanted,
                    float* out) {
    TESSERA_CHECK(block >= released_);
    const BlockSnapshot& held = blocks_[block];
    const auto offset =
        static_cast<size_t>(wanted.begin - elements_[block].begin);
    const size_t bytes = static_cast<size_t>(wanted.size()) * sizeof(float);
    if (section == 0) {
      std::memcpy(out, held.parameters.values().data() + offset, bytes);
      return absl::OkStatus();
    }
    if (stream_ == nullptr) {
      TESSERA_ASSIGN_OR_RETURN(stream_, device_.CreateStream());
    }
    const BufferRef& slot = held.slots.at(static_cast<size_t>(section - 1));
    TESSERA_RETURN_IF_ERROR(stream_->Copy(out, slot.floats() + offset, bytes));
    return stream_->Synchronize();
  }

  Device& device_;
  const std::vector<Interval> elements_;
  const int64_t version_;
  std::vector<BlockSnapshot> blocks_;
  size_t released_ = 0;  // So many from the first on.
  std::unique_ptr<Stream> stream_;
};

}  // namespace

ShardCapture::ShardCapture(Device& device, std::vector<Interval> elements,
                           int64_t version, Done done)
    : device_(device),
      elements_(std::move(elements)),
      version_(version),
      done_(std::move(done)),
      blocks_(elements_.size()),
      missing_(elements_.size()) {}

bool ShardCapture::Take(size_t block, BlockSnapshot snapshot) {
  MutexLock lock(&mutex_);
  TESSERA_CHECK(snapshot.parameters.version == version_ && missing_ > 0);
  blocks_[block] = std::move(snapshot);
  return --missing_ == 0;
}

ShardCapture::Done ShardCapture::TakeDone() {
  MutexLock lock(&mutex_);
  return std::exchange(done_, nullptr);
}

void ShardCapture::Finish() {
  const Done done = TakeDone();
  if (done == nullptr) return;
  std::vector<BlockSnapshot> blocks;
  {
    MutexLock lock(&mutex_);
    TESSERA_CHECK(missing_ == 0);
    blocks.swap(blocks_);
  }
  done(std::make_shared<Snapshot>(device_, elements_, version_,
                                  std::move(blocks)));
}

void ShardCapture::Fail(const absl::Status& why) {
  const Done done = TakeDone();
  if (done != nullptr) done(why);
}

void ShardCapture::Discard() { TakeDone(); }

}  // namespace tessera
