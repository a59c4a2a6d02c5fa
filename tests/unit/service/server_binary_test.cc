// The server's command line: flags, exit codes, signals.

#include <signal.h>

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/job/job.h"
#include "tests/support/command.h"
#include "tests/support/status.h"
#include "tests/support/test_job.h"
#include "worker/client/coordinator_client.h"

namespace tessera {
namespace {

constexpr char kServer[] = "server/tessera_server";

struct Outcome {
  int exit_status = -1;
  std::string output;
};

// Runs the server to its end.
Outcome RunServer(const std::vector<std::string>& flags) {
  std::vector<std::string> argv = {kServer};
  argv.insert(argv.end(), flags.begin(), flags.end());
  Command command(argv, NewScratchFolder() + "/output");
  const auto ending = command.Wait();
  REQUIRE(ending.has_value());
  REQUIRE(ending->signal == 0);
  return {ending->exit_status, command.Output()};
}

std::string WriteJob() {
  const std::string path = NewScratchFolder() + "/job.textproto";
  REQUIRE_OK(WriteFileAtomically(path, FormatJobText(MakeTestJob().proto())));
  return path;
}

// A server that runs until the object goes.
class RunningServer {
 public:
  RunningServer()
      : folder_(NewScratchFolder()),
        command_({kServer, "--job=" + WriteJob(),
                  "--port_file=" + folder_ + "/port", "--device=cpu"},
                 folder_ + "/output") {
    REQUIRE(Eventually([this] { return !address().empty(); }));
  }

  // "host:port", from the port file.
  std::string address() const {
    const std::string line = ReadFile(folder_ + "/port").value_or("");
    return line.substr(0, line.find('\n'));
  }
  Command& command() { return command_; }

 private:
  const std::string folder_;
  Command command_;
};

TEST_CASE("mistakes on the command line are status 2, and named") {
  const std::string job = WriteJob();
  const auto requires_2 = [](const std::vector<std::string>& flags,
                             const std::string& words) {
    const Outcome outcome = RunServer(flags);
    INFO(outcome.output);
    REQUIRE(outcome.exit_status == 2);
    REQUIRE(absl::StrContains(outcome.output, words));
  };
  requires_2({}, "--job");
  requires_2({"--job=/no/job"}, "/no/job");
  requires_2({"--job=" + job, "what"}, "what");
  requires_2({"--job=" + job, "--shard=3"}, "shard 3");
  requires_2({"--job=" + job, "--shard_count=1000"}, "1000");
  requires_2({"--job=" + job, "--device=abacus"}, "abacus");
  requires_2({"--job=" + job, "--lease_seconds=0"}, "--lease_seconds");
  requires_2({"--job=" + job, "--listen=0.0.0.0:0"}, "--insecure_network");
  requires_2({"--job=" + job, "--tls_ca=/no/ca"}, "--tls_cert");

  const std::string bad = NewScratchFolder() + "/bad.textproto";
  REQUIRE_OK(WriteFileAtomically(bad, "batch_size: 7\nmicrobatchez: 2\n"));
  requires_2({"--job=" + bad}, "microbatchez");
}

TEST_CASE("a port that is taken is status 1, with what to do") {
  RunningServer first;
  const Outcome second =
      RunServer({"--job=" + WriteJob(), "--listen=" + first.address()});
  INFO(second.output);
  REQUIRE(second.exit_status == 1);
  REQUIRE(absl::StrContains(second.output, first.address()));
  REQUIRE(absl::StrContains(second.output, "--listen"));
}

TEST_CASE("signals end a server cleanly, with members and all") {
  const int signal = GENERATE(SIGTERM, SIGINT);
  RunningServer server;
  const auto client = CoordinatorClient::Create({.server = server.address()});
  REQUIRE_OK(client->Join({}));
  server.command().Signal(signal);
  server.command().Signal(signal);
  const auto ending = server.command().Wait();
  REQUIRE(ending.has_value());
  INFO(server.command().Output());
  REQUIRE(ending->signal == 0);
  REQUIRE(ending->exit_status == 0);
}

}  // namespace
}  // namespace tessera
