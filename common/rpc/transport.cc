#include "common/rpc/transport.h"

#include <grpc/grpc.h>
#include <grpcpp/channel.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/server_builder.h>
#include <grpcpp/support/channel_arguments.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "common/base/status_macros.h"
#include "common/wire/payload_message.h"

namespace tessera {
namespace {

// Control messages need room even where blocks are tiny.
constexpr int64_t kMinMessageBytes = 256 << 10;
constexpr int kMaxCallsPerConnection = 16384;
constexpr int kHandshakeTimeoutMs = 10000;
// Of a connection without calls; workers always have some.
constexpr int kMaxIdleMs = 300000;
// Callers pause by themselves between attempts; while gRPC pauses as well,
// their attempts fail without having been made. It takes no less than the
// first.
constexpr int kReconnectMinMs = 100;
constexpr int kReconnectMaxMs = 500;

int Milliseconds(absl::Duration duration) {
  return static_cast<int>(absl::ToInt64Milliseconds(duration));
}

// What both sides have in common, as (name, value).
std::vector<std::pair<const char*, int>> CommonArguments() {
  // gRPC's bandwidth probing stays on: without it a stream's window is 64 KiB
  // for ever, and each message stops there until its receiver asks for the
  // rest. (With bbr on a loopback connection its pings would compete with data;
  // the listener sees to that.)
  return {
      {GRPC_ARG_KEEPALIVE_TIME_MS, Milliseconds(kKeepaliveInterval)},
      {GRPC_ARG_KEEPALIVE_TIMEOUT_MS, Milliseconds(kKeepaliveTimeout)},
      {GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1},
      {GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0},
      // It copies on loopback, and has bugs in this version.
      {GRPC_ARG_TCP_TX_ZEROCOPY_ENABLED, 0},
  };
}

grpc::ChannelArguments ClientArguments(const TransportOptions& options) {
  grpc::ChannelArguments arguments;
  for (const auto& [name, value] : CommonArguments()) {
    arguments.SetInt(name, value);
  }
  const auto limit = static_cast<int>(MaxMessageBytes(options.block_bytes));
  arguments.SetMaxReceiveMessageSize(limit);
  arguments.SetMaxSendMessageSize(limit);
  // Callers repeat calls by themselves; gRPC would keep payloads to do so.
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kReconnectMinMs);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kReconnectMaxMs);
  // Despite its name, this bounds an attempt to connect.
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS,
                   Milliseconds(options.connect_timeout));
  // Two clients of a process share no connection, so none waits for the other.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  // A proxy from the environment is meant for the web, not for a cluster.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return arguments;
}

}  // namespace

int64_t MaxMessageBytes(int64_t block_bytes) {
  return std::max(block_bytes + static_cast<int64_t>(kMaxHeaderBytes),
                  kMinMessageBytes);
}

absl::StatusOr<std::shared_ptr<grpc::Channel>> Connect(
    const std::string& address, const ChannelSecurity& security,
    const TransportOptions& options) {
  TESSERA_ASSIGN_OR_RETURN(auto credentials,
                           ClientCredentials(security, address));
  return grpc::CreateCustomChannel(address, credentials,
                                   ClientArguments(options));
}

bool AwaitConnection(grpc::Channel& channel, absl::Time deadline) {
  return channel.GetState(false) != GRPC_CHANNEL_TRANSIENT_FAILURE ||
         channel.WaitForConnected(absl::ToChronoTime(deadline));
}

void ConfigureServer(const TransportOptions& options,
                     grpc::ServerBuilder& builder) {
  for (const auto& [name, value] : CommonArguments()) {
    builder.AddChannelArgument(name, value);
  }
  const auto limit = static_cast<int>(MaxMessageBytes(options.block_bytes));
  builder.SetMaxReceiveMessageSize(limit);
  builder.SetMaxSendMessageSize(limit);
  // The client's pings are welcome at the rate that it sends them.
  builder.AddChannelArgument(
      GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
      Milliseconds(kKeepaliveInterval / 2));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS,
                             kMaxCallsPerConnection);
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS,
                             kHandshakeTimeoutMs);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, kMaxIdleMs);
  // Else a second server could listen on the same port and take half the calls.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
}

}  // namespace tessera
