#include "worker/client/link_memory.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/shm/shm_offer.h"

namespace tessera {
namespace {

constexpr absl::Duration kHandshakeTimeout = absl::Seconds(5);

absl::StatusOr<std::unique_ptr<ShmLink>> Connect(const std::string& text,
                                                 const SharedRegion* own) {
  TESSERA_ASSIGN_OR_RETURN(const ShmOffer offer, ParseShmOffer(text));
  return ShmLink::Connect(offer, own, kHandshakeTimeout);
}

}  // namespace

LinkMemory::LinkMemory(Transport transport,
                       std::shared_ptr<SharedRegion> region,
                       CallbackQueue& helper)
    : transport_(transport),
      helper_(helper),
      host_id_(transport == Transport::kTcp ? "" : ShmHostId()),
      region_(std::move(region)) {
  // Nobody would answer.
  if (host_id_.empty()) {
    settled_ = absl::FailedPreconditionError("shared memory is not asked for");
  }
}

void LinkMemory::UseRegion(std::shared_ptr<SharedRegion> region) {
  MutexLock lock(&mutex_);
  region_.swap(region);
}

std::shared_ptr<StreamSharing> LinkMemory::NewStream(
    StreamSharing::OnReleased on_released) const {
  MutexLock lock(&mutex_);
  return std::make_shared<StreamSharing>(region_, std::move(on_released));
}

void LinkMemory::TakeUp(const absl::StatusOr<std::string>& offer,
                        const StreamSharing& stream, Connected connected) {
  if (!offer.ok()) return connected(offer.status());
  helper_.Post(
      [text = *offer, own = stream.region(), connected = std::move(connected)] {
        connected(Connect(text, own));
      });
}

void LinkMemory::Settled(const absl::Status& status) {
  MutexLock lock(&mutex_);
  settled_ = status;
}

void LinkMemory::Unsettled() {
  MutexLock lock(&mutex_);
  if (!host_id_.empty()) settled_.reset();
}

absl::Status LinkMemory::Await(absl::Time deadline) {
  MutexLock lock(&mutex_);
  const auto settled = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return settled_.has_value();
  };
  if (mutex_.AwaitUntil(settled, deadline)) return *settled_;
  return absl::DeadlineExceededError("shared memory is not set up yet");
}

void LinkMemory::Abandon(const std::vector<CallQueue::CallPtr>& calls) const {
  MutexLock lock(&mutex_);
  if (region_ == nullptr) return;
  for (const CallQueue::CallPtr& call : calls) {
    if (call->named_shared()) return region_->Detach();
  }
}

}  // namespace tessera
