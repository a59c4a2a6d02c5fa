// The server's side of getting hold of each other's memory.
//
//   server (ShmHost)                             worker (ShmLink)
//   Expect() -> session, offer  ---- by gRPC ---->  Connect(offer)
//   same user? token good?      <-- token, fd ----
//   map the worker's region
//   session->connected()        -- fd, lease ---->  map the server's region
//
// The socket is abstract: it has a random name in no file system, and is gone
// with the process. Descriptors travel with SCM_RIGHTS (unix(7)).

#ifndef TESSERA_COMMON_SHM_SHM_HOST_H_
#define TESSERA_COMMON_SHM_SHM_HOST_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/shm/shared_region.h"
#include "common/shm/shared_view.h"

namespace tessera {

// One worker's share in the server's region, and the server's in its. Dropping
// it revokes it; it may outlive its host. Thread-safe.
class ShmSession {
 public:
  virtual ~ShmSession() = default;

  // What to send to the worker: see ShmOffer. A secret.
  virtual const std::string& offer() const = 0;

  // Whether the worker has the server's region. Once true, always true. True
  // before the worker's Connect returns.
  virtual bool connected() const = 0;

  // The worker's region. Null until connected, and for a worker without one;
  // then fixed. It may be held, and read, beyond the session.
  virtual std::shared_ptr<const SharedView> view() const = 0;

  // After this, what was lent to the worker may be written to again (see
  // LeaseTable::Revoke), and the offer is void.
  virtual void Revoke() = 0;
};

// Thread-safe. Has a thread of its own, which no peer can hold up: others wait
// neither for one that says nothing nor for one that says something wrong.
class ShmHost {
 public:
  struct Options {
    // A larger region of a worker is refused. Address space, not memory.
    uint64_t peer_region_bytes_max = uint64_t{1} << 40;
    // A peer that has not said what it wants by then is dropped.
    absl::Duration handshake_timeout = absl::Seconds(5);
    // Peers in a handshake; one more takes the place of the oldest.
    int peers_max = 64;
  };

  // Codes: RESOURCE_EXHAUSTED for lack of descriptors or room in `region`;
  // else what errno maps to.
  static absl::StatusOr<std::unique_ptr<ShmHost>> Create(
      std::shared_ptr<SharedRegion> region, const Options& options);

  // Ends the thread, and handshakes under way.
  virtual ~ShmHost() = default;

  // A session that one worker may join, until it is dropped or revoked. Code:
  // RESOURCE_EXHAUSTED when there are LeaseTable::kMaxLeases.
  virtual absl::StatusOr<std::shared_ptr<ShmSession>> Expect() = 0;
};

}  // namespace tessera

#endif  // TESSERA_COMMON_SHM_SHM_HOST_H_
