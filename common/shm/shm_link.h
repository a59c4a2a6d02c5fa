// The worker's side of getting hold of each other's memory: see shm_host.h.

#ifndef TESSERA_COMMON_SHM_SHM_LINK_H_
#define TESSERA_COMMON_SHM_SHM_LINK_H_

#include <cstdint>
#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/shm/lease.h"
#include "common/shm/shared_region.h"
#include "common/shm/shared_view.h"
#include "common/shm/shm_offer.h"

namespace tessera {

// A share in one server's region. Immutable, so thread-safe.
class ShmLink {
 public:
  // Takes up an offer: gives the server `own` to read, which may be null (a
  // worker that only pulls), and gets the server's region. Blocks for `timeout`
  // at most. Codes:
  //   UNAVAILABLE        nobody listens there (any more)
  //   PERMISSION_DENIED  whoever listens there is another user
  //   DEADLINE_EXCEEDED  no answer in time
  //   FAILED_PRECONDITION  the server refused, with its reason when the token
  //                        was good
  //   others, as SharedView::Map and LeaseCheck::Create
  // After any of them the offer may be used up: go on without shared memory.
  static absl::StatusOr<std::unique_ptr<ShmLink>> Connect(
      const ShmOffer& offer, const SharedRegion* own, absl::Duration timeout,
      uint64_t server_region_bytes_max = uint64_t{1} << 44);

  // The server's region.
  const SharedView& view() const { return *view_; }

  // See LeaseCheck: call it after the bytes were read, before they are used.
  bool Valid() const { return check_.Valid(); }

 private:
  ShmLink(std::shared_ptr<const SharedView> view, LeaseCheck check)
      : view_(std::move(view)), check_(std::move(check)) {}

  const std::shared_ptr<const SharedView> view_;
  const LeaseCheck check_;
};

}  // namespace tessera

#endif  // TESSERA_COMMON_SHM_SHM_LINK_H_
