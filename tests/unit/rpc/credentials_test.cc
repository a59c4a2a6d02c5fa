#include "common/rpc/credentials.h"

#include <catch2/catch.hpp>
#include <string>

#include "tests/support/status.h"

namespace tessera {
namespace {

using Code = absl::StatusCode;

TEST_CASE("plain text stays on this machine") {
  for (const std::string address :
       {"127.0.0.1:0", "127.1.2.3:80", "localhost:80", "[::1]:80"}) {
    CAPTURE(address);
    REQUIRE_OK(ClientCredentials({}, address));
    REQUIRE_OK(ServerCredentials({}, address));
  }
  for (const std::string address :
       {"0.0.0.0:0", "[::]:80", "10.0.0.1:80", "host:80", "127.example.com:80",
        "localhost.example.com:80"}) {
    CAPTURE(address);
    REQUIRE_ERROR(ClientCredentials({}, address), Code::kFailedPrecondition,
                  address, "--tls_ca", "--insecure_network");
    REQUIRE_ERROR(ServerCredentials({}, address), Code::kFailedPrecondition,
                  address);
    REQUIRE_OK(ClientCredentials({.insecure_network = true}, address));
    REQUIRE_OK(ServerCredentials({.insecure_network = true}, address));
  }
}

TEST_CASE("TLS needs all of its files") {
  REQUIRE_ERROR(ClientCredentials({.ca_file = "ca.pem"}, "127.0.0.1:1"),
                Code::kInvalidArgument, "--tls_cert", "--tls_key");
  REQUIRE_ERROR(
      ServerCredentials(
          {.ca_file = "/no/ca", .cert_file = "/no/cert", .key_file = "/no/key"},
          "127.0.0.1:1"),
      Code::kNotFound, "/no/ca");
}

}  // namespace
}  // namespace tessera
