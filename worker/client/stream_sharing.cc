#include "worker/client/stream_sharing.h"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace tessera {
namespace {

// Well below kMaxHeaderBytes, at 10 bytes each.
constexpr size_t kMaxReleasesInMessage = 1000;

}  // namespace

// Bytes of the server's, until the view goes.
class StreamSharing::LentSource : public BlockView::Source {
 public:
  LentSource(std::shared_ptr<StreamSharing> sharing, uint64_t id)
      : sharing_(std::move(sharing)), link_(*sharing_->link_.load()), id_(id) {}
  ~LentSource() override { sharing_->Release(id_); }

  bool Valid() const override { return link_.Valid(); }

 private:
  const std::shared_ptr<StreamSharing> sharing_;
  const ShmLink& link_;
  const uint64_t id_;
};

StreamSharing::StreamSharing(std::shared_ptr<SharedRegion> region,
                             OnReleased on_released)
    : region_(std::move(region)), on_released_(std::move(on_released)) {}

StreamSharing::Answers StreamSharing::Settle(std::unique_ptr<ShmLink> link) {
  MutexLock lock(&mutex_);
  settled_ = true;
  owned_link_ = std::move(link);
  link_.store(owned_link_.get(), std::memory_order_release);
  return std::exchange(early_, {});
}

std::optional<v1::SharedBytes> StreamSharing::PlaceOf(
    absl::Span<const uint8_t> bytes) const {
  if (!up() || region_ == nullptr) return std::nullopt;
  const std::optional<uint64_t> offset =
      region_->OffsetOf(bytes.data(), bytes.size());
  if (!offset) return std::nullopt;
  v1::SharedBytes place;
  place.set_offset(*offset);
  place.set_length(bytes.size());
  return place;
}

absl::StatusOr<std::optional<BlockView>> StreamSharing::Lent(
    const v1::PushPullResponse& answer) {
  const ShmLink* const link = link_.load(std::memory_order_acquire);
  if (link == nullptr) {
    MutexLock lock(&mutex_);
    if (!settled_) {
      early_.push_back(answer);
      return std::nullopt;
    }
    // It may have settled just now.
    if (owned_link_ == nullptr) {
      return absl::InternalError(
          "the values are said to lie in shared memory, but there is none");
    }
  }
  const v1::SharedBytes& place = answer.shared();
  const auto bytes = link_.load()->view().Bytes(place.offset(), place.length());
  if (!bytes.ok()) return absl::InternalError(bytes.status().message());
  return BlockView(
      FragmentedBytes(*bytes),
      std::make_unique<LentSource>(shared_from_this(), answer.request_id()));
}

void StreamSharing::Release(uint64_t id) {
  MutexLock lock(&mutex_);
  if (on_released_ == nullptr) return;
  released_.push_back(id);
  if (released_.size() == 1) on_released_(Hurry::kSoon);
  if (released_.size() == kManyReleases) on_released_(Hurry::kNow);
}

void StreamSharing::AddReleased(v1::PushPullRequest& message) {
  MutexLock lock(&mutex_);
  const size_t count = std::min(released_.size(), kMaxReleasesInMessage);
  const auto end = released_.begin() + static_cast<std::ptrdiff_t>(count);
  message.mutable_released()->Add(released_.begin(), end);
  released_.erase(released_.begin(), end);
}

size_t StreamSharing::released() const {
  MutexLock lock(&mutex_);
  return released_.size();
}

void StreamSharing::Close() {
  MutexLock lock(&mutex_);
  on_released_ = nullptr;
  released_.clear();
}

}  // namespace tessera
