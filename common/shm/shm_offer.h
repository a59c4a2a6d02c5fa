// What a server tells a worker so that the two can share memory.

#ifndef TESSERA_COMMON_SHM_SHM_OFFER_H_
#define TESSERA_COMMON_SHM_SHM_OFFER_H_

#include <array>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace tessera {

// Where the server listens, and the secret that stands for one session there.
// A value type.
struct ShmOffer {
  std::array<uint8_t, 16> socket;  // Names it; random.
  std::array<uint8_t, 16> token;   // Random; good for one connection.

  friend bool operator==(const ShmOffer&, const ShmOffer&) = default;
};

// "1.", 32 hexadecimal digits, ".", 32 more: fit for a gRPC header.
std::string ToString(const ShmOffer& offer);

// The inverse. Code: INVALID_ARGUMENT for any other text; says what is wrong,
// but does not repeat the text, which may hold a secret.
absl::StatusOr<ShmOffer> ParseShmOffer(absl::string_view text);

// Text that is the same for two processes only if they may share memory: the
// same boot of the same machine, network namespace (in which sockets are named)
// and user. A digest, so it tells nothing about them. Only a hint: machines
// restored from one image can have the same text. Empty when the system does
// not say; then nobody shares.
std::string ShmHostId();

}  // namespace tessera

#endif  // TESSERA_COMMON_SHM_SHM_OFFER_H_
