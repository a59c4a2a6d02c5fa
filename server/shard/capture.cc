#include "server/shard/capture.h"

#include <algorithm>
#include <utility>

#include "common/base/check.h"
#include "common/base/status_macros.h"

namespace tessera {
namespace {

class BlocksSnapshot final : public ShardSnapshot {
 public:
  BlocksSnapshot(const ShardPlan& plan, int shard, Device& device,
                 std::vector<BlockSnapshot> blocks)
      : plan_(plan),
        shard_(shard),
        device_(device),
        version_(blocks.front().parameters.version),
        blocks_(std::move(blocks)) {}

  int64_t version() const override { return version_; }
  Interval elements() const override { return plan_.ShardElements(shard_); }
  absl::Status Read(int section, const Interval& elements,
                    absl::Span<float> out) override;
  void Release(int64_t end) override;

 private:
  // Elements of the shard's block number `i`.
  Interval ElementsOf(size_t i) const {
    return plan_.BlockElements(
        static_cast<int>(plan_.ShardBlocks(shard_).begin) +
        static_cast<int>(i));
  }
  size_t BlockOf(int64_t element) const {
    return static_cast<size_t>(plan_.BlockOfElement(element) -
                               plan_.ShardBlocks(shard_).begin);
  }
  // Copies values from number `first` of a block on.
  absl::Status ReadBlock(const BlockSnapshot& block, int section, size_t first,
                         absl::Span<float> out);

  const ShardPlan plan_;
  const int shard_;
  Device& device_;
  const int64_t version_;
  std::vector<BlockSnapshot> blocks_;
  size_t released_ = 0;  // Of blocks_, from the first on.
  std::unique_ptr<Stream> stream_;
};

absl::Status BlocksSnapshot::Read(int section, const Interval& elements,
                                  absl::Span<float> out) {
  const Interval all = this->elements();
  TESSERA_CHECK(all.begin <= elements.begin && elements.end <= all.end);
  TESSERA_CHECK(static_cast<size_t>(elements.size()) == out.size());
  for (int64_t at = elements.begin; at < elements.end;) {
    const size_t i = BlockOf(at);
    TESSERA_CHECK(i >= released_);
    const Interval block = ElementsOf(i);
    const int64_t end = std::min(elements.end, block.end);
    TESSERA_RETURN_IF_ERROR(
        ReadBlock(blocks_[i], section, static_cast<size_t>(at - block.begin),
                  out.subspan(static_cast<size_t>(at - elements.begin),
                              static_cast<size_t>(end - at))));
    at = end;
  }
  return absl::OkStatus();
}

absl::Status BlocksSnapshot::ReadBlock(const BlockSnapshot& block, int section,
                                       size_t first, absl::Span<float> out) {
  TESSERA_CHECK(section >= 0 &&
                static_cast<size_t>(section) <= block.slots.size());
  if (section == 0) {
    std::copy_n(block.parameters.values().begin() + first, out.size(),
                out.begin());
    return absl::OkStatus();
  }
  if (stream_ == nullptr) {
    TESSERA_ASSIGN_OR_RETURN(stream_, device_.CreateStream());
  }
  const BufferRef& slot = block.slots[static_cast<size_t>(section - 1)];
  TESSERA_RETURN_IF_ERROR(stream_->Copy(out.data(), slot.floats() + first,
                                        out.size() * sizeof(float)));
  return stream_->Synchronize();
}

void BlocksSnapshot::Release(int64_t end) {
  while (released_ < blocks_.size() && ElementsOf(released_).end <= end) {
    blocks_[released_] = BlockSnapshot();
    ++released_;
  }
}

}  // namespace

std::unique_ptr<ShardSnapshot> MakeShardSnapshot(
    const ShardPlan& plan, int shard, Device& device,
    std::vector<BlockSnapshot> blocks) {
  for (const BlockSnapshot& block : blocks) {
    TESSERA_CHECK(block.parameters.version ==
                  blocks.front().parameters.version);
  }
  return std::make_unique<BlocksSnapshot>(plan, shard, device,
                                          std::move(blocks));
}

uint64_t CaptureCollector::Begin(size_t blocks, ShardStore::CaptureDone done,
                                 ShardStore::CaptureDone& ended) {
  MutexLock lock(&mutex_);
  ended = TakeDone();
  done_ = std::move(done);
  blocks_.resize(blocks);
  missing_ = blocks;
  return ++id_;
}

std::optional<CaptureCollector::Complete> CaptureCollector::Add(
    uint64_t id, size_t i, BlockSnapshot block) {
  MutexLock lock(&mutex_);
  if (id != id_ || done_ == nullptr) return std::nullopt;
  blocks_[i] = std::move(block);
  if (--missing_ > 0) return std::nullopt;
  Complete complete{.done = nullptr, .blocks = std::move(blocks_)};
  complete.done = TakeDone();
  return complete;
}

ShardStore::CaptureDone CaptureCollector::End() {
  MutexLock lock(&mutex_);
  return TakeDone();
}

ShardStore::CaptureDone CaptureCollector::End(uint64_t id) {
  MutexLock lock(&mutex_);
  return id == id_ ? TakeDone() : nullptr;
}

ShardStore::CaptureDone CaptureCollector::TakeDone() {
  blocks_.clear();
  return std::exchange(done_, nullptr);
}

}  // namespace tessera
