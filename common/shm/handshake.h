// The two messages that shm_host and shm_link exchange, and how they travel.
//
//   worker -- ShmHello, its region's descriptor or none -->   server
//   worker <-- ShmWelcome, the server's region's descriptor -- server
//
// Both are structs as they lie in memory: the two run on one machine. A server
// that gets anything else, or a token that it does not expect, closes the
// connection without a word.

#ifndef TESSERA_COMMON_SHM_HANDSHAKE_H_
#define TESSERA_COMMON_SHM_HANDSHAKE_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/shm/lease.h"
#include "common/shm/shm_offer.h"
#include "common/shm/unique_fd.h"

namespace tessera {

// Changes whenever the messages do.
inline constexpr uint64_t kShmProtocol = 0x3130'6d68'7372'7374;  // "tsrshm01"

struct ShmHello {
  uint64_t protocol = kShmProtocol;
  std::array<uint8_t, 16> token;
};

struct ShmWelcome {
  uint64_t protocol = kShmProtocol;
  Lease lease;
  // Why there is no descriptor and the lease means nothing; empty otherwise.
  // Not terminated when full.
  std::array<char, 232> refusal = {};
};

// A socket for connections under `name`. Closed on exec; does not block. Codes:
// as errno maps.
absl::StatusOr<UniqueFd> ListenForPeers(const std::array<uint8_t, 16>& name);

// A connection to it, within `timeout`. Codes: UNAVAILABLE when nobody listens
// there, DEADLINE_EXCEEDED when nobody answers.
absl::StatusOr<UniqueFd> ConnectToPeer(const std::array<uint8_t, 16>& name,
                                       absl::Duration timeout);

// Code: PERMISSION_DENIED when the process at the other end is, or was when it
// connected or began to listen, another user's.
absl::Status CheckSameUser(int socket);

// Waits for a message. Code: DEADLINE_EXCEEDED.
absl::Status AwaitMessage(int socket, absl::Duration timeout);

// Sends a message, with a descriptor unless `fd` is negative. Never blocks.
// Codes: UNAVAILABLE when the other end is gone; else what errno maps to.
absl::Status SendMessage(int socket, const void* message, size_t bytes, int fd);

// Receives one of just this size, with one descriptor or none. Never blocks.
// Descriptors in any message that it does not accept are closed. Codes:
//   DEADLINE_EXCEEDED   there is none yet
//   UNAVAILABLE         the other end is gone
//   INVALID_ARGUMENT    another size, or more than one descriptor
//   RESOURCE_EXHAUSTED  no descriptor number is free here
absl::StatusOr<UniqueFd> ReceiveMessage(int socket, void* message,
                                        size_t bytes);

}  // namespace tessera

#endif  // TESSERA_COMMON_SHM_HANDSHAKE_H_
