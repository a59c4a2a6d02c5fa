#include "common/rpc/security_flags.h"

#include <string>

#include "absl/flags/flag.h"

ABSL_FLAG(std::string, tls_ca, "",
          "PEM file of the authority that signed the other side's "
          "certificates.");
ABSL_FLAG(std::string, tls_cert, "", "PEM file of this program's certificate.");
ABSL_FLAG(std::string, tls_key, "", "PEM file of its private key.");
ABSL_FLAG(bool, insecure_network, false,
          "Allow plain text on a network of other machines.");

namespace tessera {

const char kSecurityFlagsFile[] = __FILE__;

ChannelSecurity SecurityFromFlags() {
  return {.ca_file = absl::GetFlag(FLAGS_tls_ca),
          .cert_file = absl::GetFlag(FLAGS_tls_cert),
          .key_file = absl::GetFlag(FLAGS_tls_key),
          .insecure_network = absl::GetFlag(FLAGS_insecure_network)};
}

}  // namespace tessera
