// The server's command line: flags, exit codes, signals.

#include <signal.h>

#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/file.h"
#include "common/job/job.h"
#include "tests/support/command.h"
#include "tests/support/status.h"
#include "tests/support/test_job.h"
#include "tests/unit/service/mini_worker.h"
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

std::string WriteJob(const v1::Job& job = MakeTestJob().proto()) {
  const std::string path = NewScratchFolder() + "/job.textproto";
  REQUIRE_OK(WriteFileAtomically(path, FormatJobText(job)));
  return path;
}

// A server that runs until the object goes.
class RunningServer {
 public:
  explicit RunningServer(const std::vector<std::string>& flags = {},
                         const std::string& job_file = WriteJob())
      : folder_(NewScratchFolder()),
        command_(Argv(job_file, folder_, flags), folder_ + "/output") {
    REQUIRE(Eventually([this] { return !address().empty(); }));
  }

  // "host:port", from the port file.
  std::string address() const {
    const std::string line = ReadFile(folder_ + "/port").value_or("");
    return line.substr(0, line.find('\n'));
  }
  Command& command() { return command_; }

  // That a signal ends it well within the time that --help promises, as far as
  // a busy machine lets one tell.
  void RequireEndsSoon(int signal) {
    command_.Signal(signal);
    const auto ending = command_.Wait(absl::Seconds(60));
    INFO(command_.Output());
    REQUIRE(ending.has_value());
    REQUIRE(ending->signal == 0);
    REQUIRE(ending->exit_status == 0);
  }

 private:
  static std::vector<std::string> Argv(const std::string& job_file,
                                       const std::string& folder,
                                       const std::vector<std::string>& flags) {
    std::vector<std::string> argv = {kServer, "--job=" + job_file,
                                     "--port_file=" + folder + "/port",
                                     "--device=cpu"};
    argv.insert(argv.end(), flags.begin(), flags.end());
    return argv;
  }

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
  requires_2({"--job=" + job, "--shard=3", "--norecover"}, "shard 3");
  requires_2({"--job=" + job, "--shard=1", "--shard_count=2"}, "--coordinator");
  requires_2({"--job=" + job, "--norecover", "--checkpoint_dir=/sets"},
             "--checkpoint_dir");
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

// The port of a server that is no more.
std::string NobodysAddress() { return RunningServer().address(); }

TEST_CASE("a server that cannot reach its coordinator ends at a signal") {
  RunningServer server(
      {"--shard=1", "--shard_count=2", "--coordinator=" + NobodysAddress()},
      WriteJob(MakeTestJob({.parameters = 40}).proto()));
  REQUIRE(Eventually([&] {
    return absl::StrContains(server.command().Output(), "cannot be reached");
  }));
  server.RequireEndsSoon(SIGTERM);
}

TEST_CASE("a signal ends a server that waits for others, or in a step") {
  RunningServer first({"--shard_count=2"},
                      WriteJob(MakeTestJob({.parameters = 40}).proto()));
  SECTION("that waits for another") { first.RequireEndsSoon(SIGTERM); }
  SECTION("in the middle of a step") {
    const Job job = MakeTestJob({.parameters = 40});
    RunningServer second(
        {"--shard=1", "--shard_count=2", "--coordinator=" + first.address()},
        WriteJob(job.proto()));
    MiniWorker worker(job, {first.address(), second.address()});
    worker.TrainTo(2);
    second.RequireEndsSoon(SIGTERM);
    first.RequireEndsSoon(SIGTERM);
  }
}

TEST_CASE("a signal ends a server that writes a checkpoint") {
  v1::Job proto =
      MakeTestJob({.parameters = 40, .optimizer = "adamw {}"}).proto();
  proto.mutable_operation()->mutable_checkpoint()->set_every_steps(2);
  // It would take minutes.
  proto.mutable_operation()->mutable_checkpoint()->set_bytes_per_second(1);
  const auto job = Job::Create(proto);
  REQUIRE_OK(job);
  const std::string sets = NewScratchFolder() + "/sets";
  RunningServer server({"--checkpoint_dir=" + sets}, WriteJob(job->proto()));
  MiniWorker worker(*job, {server.address()});
  worker.TrainTo(8);
  const auto client = CoordinatorClient::Create({.server = server.address()});
  REQUIRE(Eventually([&] {
    const auto status = client->GetStatus();
    return status.ok() && status->checkpoint().pending_version() >= 0;
  }));
  server.RequireEndsSoon(SIGTERM);
}

TEST_CASE("who looks at a server now and then sees it come back") {
  auto first = std::make_unique<RunningServer>();
  const std::string address = first->address();
  const auto client =
      CoordinatorClient::Create({.server = address, .once = true});
  REQUIRE_OK(client->GetStatus());
  first.reset();
  // Not only that the connection broke.
  REQUIRE(Eventually([&] {
    return absl::StrContains(client->GetStatus().status().message(), "refused");
  }));
  const RunningServer second({"--listen=" + address});
  // Nothing else in this process calls gRPC, which would get on with connecting
  // meanwhile. Left to itself it gives an attempt up after 5 s.
  int looks = 0;
  while (!client->GetStatus().ok()) {
    REQUIRE(++looks < 15);
    absl::SleepFor(absl::Milliseconds(100));
  }
}

TEST_CASE("a server whose place another takes ends with status 1") {
  const Job job = MakeTestJob({.parameters = 40});
  const std::string job_file = WriteJob(job.proto());
  RunningServer first({"--shard_count=2"}, job_file);
  const std::vector<std::string> flags = {"--shard=1", "--shard_count=2",
                                          "--coordinator=" + first.address()};
  RunningServer second(flags, job_file);
  MiniWorker(job, {first.address(), second.address()}).TrainTo(1);
  RunningServer third(flags, job_file);
  const auto ending = second.command().Wait();
  REQUIRE(ending.has_value());
  INFO(second.command().Output());
  REQUIRE(ending->exit_status == 1);
  REQUIRE(absl::StrContains(second.command().Output(), "must end"));
}

}  // namespace
}  // namespace tessera
