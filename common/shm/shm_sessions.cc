#include "common/shm/shm_sessions.h"

#include <sys/random.h>

#include "common/base/file.h"
#include "common/base/status_macros.h"

namespace tessera {

absl::StatusOr<std::array<uint8_t, 16>> RandomBytes() {
  std::array<uint8_t, 16> bytes;
  if (getrandom(bytes.data(), bytes.size(), 0) !=
      static_cast<ssize_t>(bytes.size())) {
    return ErrnoStatus("no random bytes from the system");
  }
  return bytes;
}

void ShmSessionImpl::Revoke() {
  MutexLock lock(&mutex_);
  if (std::exchange(revoked_, true)) return;
  sessions_->Remove(token_, lease_);
}

bool ShmSessionImpl::Join(std::shared_ptr<const SharedView> view) {
  MutexLock lock(&mutex_);
  if (revoked_) return false;
  view_ = std::move(view);
  connected_ = true;
  return true;
}

absl::StatusOr<std::shared_ptr<ShmSession>> ShmSessions::Add(
    const std::array<uint8_t, 16>& socket) {
  ShmOffer offer = {.socket = socket, .token = {}};
  TESSERA_ASSIGN_OR_RETURN(offer.token, RandomBytes());
  TESSERA_ASSIGN_OR_RETURN(const Lease lease, leases_->Grant());
  auto session =
      std::make_shared<ShmSessionImpl>(shared_from_this(), offer, lease);
  {
    MutexLock lock(&mutex_);
    expected_[offer.token] = session;
  }
  ShmSession* const handle = session.get();
  return std::shared_ptr<ShmSession>(
      handle,
      [session = std::move(session)](ShmSession*) { session->Revoke(); });
}

std::shared_ptr<ShmSessionImpl> ShmSessions::Claim(
    const std::array<uint8_t, 16>& token) {
  MutexLock lock(&mutex_);
  const auto found = expected_.find(token);
  if (found == expected_.end()) return nullptr;
  std::shared_ptr<ShmSessionImpl> session = std::move(found->second);
  expected_.erase(found);
  return session;
}

void ShmSessions::Remove(const std::array<uint8_t, 16>& token,
                         const Lease& lease) {
  {
    MutexLock lock(&mutex_);
    expected_.erase(token);
  }
  leases_->Revoke(lease);
}

}  // namespace tessera
