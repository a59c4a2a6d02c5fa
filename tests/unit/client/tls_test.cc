// Mutual TLS, with certificates made here by the openssl command.

#include <catch2/catch.hpp>
#include <cstdlib>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/substitute.h"
#include "tests/support/status.h"
#include "tests/unit/client/test_cluster.h"
#include "worker/client/coordinator_client.h"
#include "worker/client/pull_all.h"

namespace tessera {
namespace {

using Code = absl::StatusCode;

void Run(const std::string& command) {
  INFO(command);
  REQUIRE(std::system(command.c_str()) == 0);
}

// An authority, and a certificate that it signed, in a new folder.
ChannelSecurity MakeAuthority(const std::string& name) {
  const std::string folder =
      absl::StrCat(std::getenv("TEST_TMPDIR"), "/", name);
  constexpr char kScript[] =
      "set -e; mkdir $0; cd $0; exec 2>openssl.log; "
      "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 "
      "-nodes -keyout ca.key -out ca.pem -subj /CN=$1 -days 2; "
      "openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes "
      "-keyout me.key -out me.csr -subj /CN=node; "
      "echo 'subjectAltName=IP:127.0.0.1' > ext; "
      "openssl x509 -req -in me.csr -CA ca.pem -CAkey ca.key "
      "-CAcreateserial -out me.pem -days 2 -extfile ext";
  Run(absl::Substitute(kScript, folder, name));
  return {.ca_file = folder + "/ca.pem",
          .cert_file = folder + "/me.pem",
          .key_file = folder + "/me.key"};
}

absl::Status TryJoin(const std::string& address,
                     const ChannelSecurity& security) {
  return CoordinatorClient::Create(
             {.server = address,
              .unreachable_after = absl::Milliseconds(500),
              .security = security})
      ->Join({})
      .status();
}

TEST_CASE("only who shows the right certificate gets through") {
  const ChannelSecurity ours = MakeAuthority("ours");
  const ChannelSecurity theirs = MakeAuthority("theirs");
  TestCluster cluster({.parameters = 1000}, 2, ours);
  const std::string& address = cluster.addresses()[0];
  REQUIRE_OK(TryJoin(address, ours));
  const auto client = cluster.MakeClient();
  REQUIRE_OK(PullAll(cluster.plan(), 0, *client));

  // Signed by another authority, and trusting only that one.
  REQUIRE_ERROR(TryJoin(address, theirs), Code::kUnavailable, address);
  // Trusting us, with a certificate that we did not sign.
  ChannelSecurity stranger = theirs;
  stranger.ca_file = ours.ca_file;
  REQUIRE_ERROR(TryJoin(address, stranger), Code::kUnavailable, address);
  // Signed by us, but taking us for an impostor.
  ChannelSecurity suspicious = ours;
  suspicious.ca_file = theirs.ca_file;
  REQUIRE_ERROR(TryJoin(address, suspicious), Code::kUnavailable, address);
  // Plain text.
  REQUIRE_ERROR(TryJoin(address, {}), Code::kUnavailable, address);
}

}  // namespace
}  // namespace tessera
