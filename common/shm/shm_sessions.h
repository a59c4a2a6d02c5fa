// The sessions of a ShmHost, apart from the sockets that workers join them by.

#ifndef TESSERA_COMMON_SHM_SHM_SESSIONS_H_
#define TESSERA_COMMON_SHM_SHM_SESSIONS_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "common/base/mutex.h"
#include "common/shm/lease.h"
#include "common/shm/shared_region.h"
#include "common/shm/shared_view.h"
#include "common/shm/shm_host.h"
#include "common/shm/shm_offer.h"

namespace tessera {

// 16 bytes that nobody can guess. Codes: as errno maps.
absl::StatusOr<std::array<uint8_t, 16>> RandomBytes();

class ShmSessions;

// Whoever asked for it holds a handle that revokes; the host's thread may hold
// the session itself a moment longer. Thread-safe.
class ShmSessionImpl final : public ShmSession {
 public:
  ShmSessionImpl(std::shared_ptr<ShmSessions> sessions, const ShmOffer& offer,
                 const Lease& lease)
      : sessions_(std::move(sessions)),
        token_(offer.token),
        offer_(ToString(offer)),
        lease_(lease) {}
  const std::string& offer() const override { return offer_; }
  bool connected() const override { return connected_; }
  std::shared_ptr<const SharedView> view() const override {
    return connected_ ? view_ : nullptr;
  }
  void Revoke() override;

  const Lease& lease() const { return lease_; }

  // The worker is there, with its region or null. Once only. False when the
  // session was revoked before that.
  bool Join(std::shared_ptr<const SharedView> view);

 private:
  const std::shared_ptr<ShmSessions> sessions_;
  const std::array<uint8_t, 16> token_;
  const std::string offer_;
  const Lease lease_;

  // Written before connected_ is set, and never again: so readers, on the path
  // of every block, need no lock.
  std::shared_ptr<const SharedView> view_;
  std::atomic<bool> connected_ = false;

  Mutex mutex_;  // Before that of sessions_.
  bool revoked_ ABSL_GUARDED_BY(mutex_) = false;
};

// Those whose worker has not come yet, by their token; and the leases of all.
// Shared by the host and its sessions, which may outlive it. Thread-safe.
class ShmSessions : public std::enable_shared_from_this<ShmSessions> {
 public:
  ShmSessions(std::shared_ptr<SharedRegion> region,
              std::unique_ptr<LeaseTable> leases)
      : region_(std::move(region)), leases_(std::move(leases)) {}

  // A session to be joined at `socket`. Codes: as ShmHost::Expect.
  absl::StatusOr<std::shared_ptr<ShmSession>> Add(
      const std::array<uint8_t, 16>& socket);

  // The session that waits for this token, which is used up by that; or null.
  std::shared_ptr<ShmSessionImpl> Claim(const std::array<uint8_t, 16>& token);

  // The end of a session, whether or not its token was used.
  void Remove(const std::array<uint8_t, 16>& token, const Lease& lease);

  const SharedRegion& region() const { return *region_; }

 private:
  const std::shared_ptr<SharedRegion> region_;
  const std::unique_ptr<LeaseTable> leases_;

  Mutex mutex_;
  std::map<std::array<uint8_t, 16>, std::shared_ptr<ShmSessionImpl>> expected_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace tessera

#endif  // TESSERA_COMMON_SHM_SHM_SESSIONS_H_
