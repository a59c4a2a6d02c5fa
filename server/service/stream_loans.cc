#include "server/service/stream_loans.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/rpc/shm_metadata.h"

namespace tessera {

StreamLoans::Reply StreamLoans::Ask(absl::string_view host_id) {
  if (memory_.host == nullptr) return {kNoSharedMemoryKey, memory_.why_not};
  if (host_id != memory_.host_id) {
    return {kNoSharedMemoryKey,
            "the two do not run on the same machine, in the same network "
            "namespace and as the same user"};
  }
  absl::StatusOr<std::shared_ptr<ShmSession>> session = memory_.host->Expect();
  if (!session.ok()) {
    return {kNoSharedMemoryKey, "too many workers share memory already"};
  }
  MutexLock lock(&mutex_);
  if (!ended_) session_ = *session;
  return {kSharedMemoryKey, (*session)->offer()};
}

absl::StatusOr<FragmentedBytes> StreamLoans::Gradient(
    const v1::SharedBytes& place) {
  if (gradients_ == nullptr) {
    MutexLock lock(&mutex_);
    if (session_ != nullptr) gradients_ = session_->view();
  }
  if (gradients_ == nullptr) {
    return absl::FailedPreconditionError(
        "the gradient is said to lie in shared memory, but this stream shares "
        "none: send the bytes");
  }
  TESSERA_ASSIGN_OR_RETURN(const FragmentedBytes::Piece bytes,
                           gradients_->Bytes(place.offset(), place.length()));
  return FragmentedBytes(bytes);
}

bool StreamLoans::Lend(PushPullReply& reply) {
  const uint64_t id = reply.header.request_id();
  // What has no name cannot be released.
  if (memory_.region == nullptr || id == 0) return false;
  const FragmentedBytes::Piece bytes = reply.payload;
  const std::optional<uint64_t> offset =
      memory_.region->OffsetOf(bytes.data(), bytes.size());
  if (!offset) return false;
  {
    MutexLock lock(&mutex_);
    if (ended_ || session_ == nullptr || !session_->connected() ||
        lent_.size() >= max_lent_ || !lent_.emplace(id, reply.owner).second) {
      return false;
    }
  }
  v1::SharedBytes& place = *reply.header.mutable_shared();
  place.set_offset(*offset);
  place.set_length(bytes.size());
  return true;
}

void StreamLoans::Release(const v1::PushPullRequest& request) {
  for (const uint64_t id : request.released()) {
    // Let go without the lock: this may be the last reference.
    std::shared_ptr<const void> owner;
    MutexLock lock(&mutex_);
    const auto found = lent_.find(id);
    if (found == lent_.end()) continue;
    owner = std::move(found->second);
    lent_.erase(found);
  }
}

void StreamLoans::End() {
  std::shared_ptr<ShmSession> session;
  absl::flat_hash_map<uint64_t, std::shared_ptr<const void>> lent;
  {
    MutexLock lock(&mutex_);
    ended_ = true;
    session.swap(session_);
    lent.swap(lent_);
  }
  // Before the versions' memory can be used for others.
  if (session != nullptr) session->Revoke();
  lent.clear();
}

size_t StreamLoans::lent() const {
  MutexLock lock(&mutex_);
  return lent_.size();
}

}  // namespace tessera
