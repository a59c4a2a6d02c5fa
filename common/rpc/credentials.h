// Who may talk to whom: mutual TLS, or plain text on the loopback interface.

#ifndef TESSERA_COMMON_RPC_CREDENTIALS_H_
#define TESSERA_COMMON_RPC_CREDENTIALS_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace grpc {
class ChannelCredentials;
class ServerCredentials;
}  // namespace grpc

namespace tessera {

// Paths of PEM files, all three or none. With none, traffic is plain text,
// which only loopback addresses get unless `insecure_network` allows any.
struct ChannelSecurity {
  std::string ca_file;    // Whom to trust; signs both sides' certificates.
  std::string cert_file;  // Shown to the other side.
  std::string key_file;
  bool insecure_network = false;
};

// Codes: INVALID_ARGUMENT when some but not all files are given; NOT_FOUND or
// the like for a file that cannot be read; FAILED_PRECONDITION for plain text
// to an `address` ("host:port") off this machine, naming the flags that would
// do.
absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> ClientCredentials(
    const ChannelSecurity& security, absl::string_view address);

// As ClientCredentials, for an address to listen on. Requires and verifies
// client certificates.
absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> ServerCredentials(
    const ChannelSecurity& security, absl::string_view address);

}  // namespace tessera

#endif  // TESSERA_COMMON_RPC_CREDENTIALS_H_
