// How a shard's server reaches the coordinator: a call on shard 0's own
// handler, or one over the network.

#ifndef TESSERA_SERVER_SERVICE_COORDINATOR_LINK_H_
#define TESSERA_SERVER_SERVICE_COORDINATOR_LINK_H_

#include "absl/status/statusor.h"
#include "tessera/v1/shard.pb.h"

namespace tessera {

// Attend is for one thread; Interrupt is thread-safe.
class CoordinatorLink {
 public:
  virtual ~CoordinatorLink() = default;

  // Blocks while the coordinator has no other orders, for the request's wait_ms
  // and some seconds at most. Codes: those of ShardService.Attend (see
  // shard.proto), UNAVAILABLE and DEADLINE_EXCEEDED when the coordinator is out
  // of reach, CANCELLED after Interrupt.
  virtual absl::StatusOr<v1::AttendResponse> Attend(
      const v1::AttendRequest& request) = 0;

  // Ends the call under way with CANCELLED; where there is none, the next one.
  virtual void Interrupt() = 0;
};

}  // namespace tessera

#endif  // TESSERA_SERVER_SERVICE_COORDINATOR_LINK_H_
