#include "common/rpc/credentials.h"

#include <arpa/inet.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>
#include <netinet/in.h>

#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"

namespace tessera {
namespace {

struct PemFiles {
  std::string ca;
  std::string cert;
  std::string key;
};

bool IsLoopback(absl::string_view address) {
  if (absl::StartsWith(address, "unix:")) return true;
  absl::string_view host = address.substr(0, address.rfind(':'));
  if (absl::ConsumePrefix(&host, "[")) absl::ConsumeSuffix(&host, "]");
  if (host == "localhost") return true;
  const std::string text(host);
  in_addr v4;
  if (inet_pton(AF_INET, text.c_str(), &v4) == 1) {
    return ntohl(v4.s_addr) >> 24 == 127;
  }
  in6_addr v6;
  return inet_pton(AF_INET6, text.c_str(), &v6) == 1 &&
         IN6_IS_ADDR_LOOPBACK(&v6);
}

// The files' contents; nothing when traffic is to be plain text.
absl::StatusOr<std::optional<PemFiles>> Load(const ChannelSecurity& security,
                                             absl::string_view address) {
  const int given = !security.ca_file.empty() + !security.cert_file.empty() +
                    !security.key_file.empty();
  if (given == 0) {
    if (security.insecure_network || IsLoopback(address)) return std::nullopt;
    return absl::FailedPreconditionError(absl::StrCat(
        "refusing plain text on ", address,
        ", which is not on this machine's "
        "loopback interface: give --tls_ca, --tls_cert and --tls_key, or "
        "--insecure_network if everyone on that network may be trusted"));
  }
  if (given < 3) {
    return absl::InvalidArgumentError(
        "TLS needs all of --tls_ca, --tls_cert and --tls_key");
  }
  PemFiles pem;
  TESSERA_ASSIGN_OR_RETURN(pem.ca, ReadFile(security.ca_file));
  TESSERA_ASSIGN_OR_RETURN(pem.cert, ReadFile(security.cert_file));
  TESSERA_ASSIGN_OR_RETURN(pem.key, ReadFile(security.key_file));
  return pem;
}

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> ClientCredentials(
    const ChannelSecurity& security, absl::string_view address) {
  TESSERA_ASSIGN_OR_RETURN(std::optional<PemFiles> pem,
                           Load(security, address));
  if (!pem) return grpc::InsecureChannelCredentials();
  return grpc::SslCredentials({.pem_root_certs = pem->ca,
                               .pem_private_key = pem->key,
                               .pem_cert_chain = pem->cert});
}

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> ServerCredentials(
    const ChannelSecurity& security, absl::string_view address) {
  TESSERA_ASSIGN_OR_RETURN(std::optional<PemFiles> pem,
                           Load(security, address));
  if (!pem) return grpc::InsecureServerCredentials();
  grpc::SslServerCredentialsOptions options(
      GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  options.pem_root_certs = pem->ca;
  options.pem_key_cert_pairs.push_back(
      {.private_key = pem->key, .cert_chain = pem->cert});
  return grpc::SslServerCredentials(options);
}

}  // namespace tessera
