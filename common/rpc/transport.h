// How connections behave: every channel and server argument is set here, so
// that both sides agree.

#ifndef TESSERA_COMMON_RPC_TRANSPORT_H_
#define TESSERA_COMMON_RPC_TRANSPORT_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/rpc/credentials.h"

namespace grpc {
class Channel;
class ServerBuilder;
}  // namespace grpc

namespace tessera {

// What one side may take for a dead connection: no answer to a ping for so long
// after so much silence.
inline constexpr absl::Duration kKeepaliveInterval = absl::Seconds(10);
inline constexpr absl::Duration kKeepaliveTimeout = absl::Seconds(10);

struct TransportOptions {
  // Of the largest block: messages may hold one, and a header.
  int64_t block_bytes = 0;
  // Of one attempt to connect, client only.
  absl::Duration connect_timeout = absl::Seconds(5);
};

// The largest message that either side takes, in bytes.
int64_t MaxMessageBytes(int64_t block_bytes);

// A connection of its own to `address`, made on first use. Codes: as
// ClientCredentials.
absl::StatusOr<std::shared_ptr<grpc::Channel>> Connect(
    const std::string& address, const ChannelSecurity& security,
    const TransportOptions& options);

// If the connection has failed, lets it come about until `deadline` at the
// latest. False when calls on it would still fail without having been made.
// Without this, who only makes a call now and then would not be connected for
// seconds: gRPC gets on with connecting only while a thread is in its
// functions.
bool AwaitConnection(grpc::Channel& channel, absl::Time deadline);

// Sets everything but services, credentials and addresses.
void ConfigureServer(const TransportOptions& options,
                     grpc::ServerBuilder& builder);

}  // namespace tessera

#endif  // TESSERA_COMMON_RPC_TRANSPORT_H_
