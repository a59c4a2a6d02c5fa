// The launcher as its users meet it.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "tests/integration/job_run.h"

namespace tessera {
namespace {

// Runs to the end; returns the exit status, or -1 for a signal or a hang.
int RunToEnd(const std::vector<std::string>& argv, std::string& output) {
  Command command(argv, NewScratchFolder() + "/output");
  const auto ending = command.Wait(absl::Minutes(2));
  output = command.Output();
  return ending && ending->signal == 0 ? ending->exit_status : -1;
}

void RequireAllIn(const std::string& text,
                  const std::vector<std::string>& parts) {
  for (const std::string& part : parts) {
    CAPTURE(text, part);
    REQUIRE(absl::StrContains(text, part));
  }
}

TEST_CASE("a whole run leaves all outputs behind, and they agree") {
  LaunchRun run(WriteSmallJob({.steps = 60}), 2, 2);
  run.RequireSuccess();
  const nlohmann::json summary = run.Summary();
  REQUIRE(summary["steps"] == 60);
  REQUIRE(summary["servers"] == 2);
  REQUIRE(summary["workers"] == 2);
  REQUIRE(summary["test_accuracy"].get<double>() > 0.9);
  REQUIRE(summary["train_loss"].get<double>() < 1.0);
  REQUIRE(summary["seconds"].get<double>() > 0);
  REQUIRE(summary["samples_per_second"].get<double>() > 0);
  // 256 examples, 32 a step.
  REQUIRE(summary["epochs"].get<double>() == Approx(60.0 / 8));
  REQUIRE(run.StepsSeen() == 60);
  for (const char* file :
       {"job.textproto", "curves.svg", "metrics.jsonl", "params.safetensors"}) {
    CAPTURE(file);
    REQUIRE(ReadFile(absl::StrCat(run.run_dir(), "/", file))->size() > 100);
  }
  REQUIRE(Descendants(run.command().pid(), "").empty());
}

TEST_CASE("training ends early when the target is met") {
  LaunchRun run(
      WriteSmallJob({.steps = 4000, .stop_extra = "target_accuracy: 0.9"}), 1,
      2);
  run.RequireSuccess();
  REQUIRE(run.Summary()["steps"].get<int>() < 4000);
  REQUIRE(run.Summary()["steps"].get<int>() % 20 == 0);
  REQUIRE(run.Summary()["test_accuracy"].get<double>() >= 0.9);
}

TEST_CASE("Ctrl-C ends the job cleanly, with its outputs") {
  LaunchRun run(WriteSmallJob({.steps = 1000000}), 2, 2);
  REQUIRE(Eventually([&] { return run.StepsSeen() > 10; }));
  const auto children = Descendants(run.command().pid(), "tessera_");
  REQUIRE(children.size() == 4);
  run.command().Signal(SIGINT);
  const auto ending = run.command().Wait();
  INFO(run.command().Output());
  REQUIRE(ending.has_value());
  REQUIRE(ending->exit_status == 130);
  REQUIRE(run.Summary()["steps"].get<int>() >= 10);
  REQUIRE(run.Summary()["params_sha256"].get<std::string>().size() == 64);
  for (pid_t child : children) REQUIRE_FALSE(IsAlive(child));
}

TEST_CASE("nothing survives a launcher that is killed") {
  LaunchRun run(WriteSmallJob({.steps = 1000000}), 2, 2);
  REQUIRE(Eventually([&] { return run.StepsSeen() > 5; }));
  const auto children = Descendants(run.command().pid(), "tessera_");
  REQUIRE(children.size() == 4);
  run.command().Signal(SIGKILL);
  for (pid_t child : children) {
    REQUIRE(Eventually([&] { return !IsAlive(child); }));
  }
}

TEST_CASE("a server that dies too often ends the run with its reason") {
  LaunchRun run(WriteSmallJob({.steps = 1000000}), 2, 2,
                {"--server_restarts=0"});
  REQUIRE(Eventually([&] { return run.StepsSeen() > 5; }));
  const auto servers = Descendants(run.command().pid(), "tessera_server");
  REQUIRE(servers.size() == 2);
  kill(servers.back(), SIGKILL);
  const auto ending = run.command().Wait();
  REQUIRE(ending.has_value());
  REQUIRE(ending->exit_status == 1);
  RequireAllIn(run.command().Output(), {"server", "SIGKILL"});
}

TEST_CASE("bad jobs are refused before anything starts") {
  std::string output;
  const std::string job = WriteSmallJob({.extra = "batchsize: 3"});
  REQUIRE(RunToEnd({kLauncher, absl::StrCat("--job=", job)}, output) == 2);
  RequireAllIn(output, {"batchsize", "line"});

  const std::string few_blocks = WriteSmallJob({.block_bytes = 1 << 20});
  REQUIRE(
      RunToEnd({kLauncher, absl::StrCat("--job=", few_blocks), "--servers=2"},
               output) == 2);
  RequireAllIn(output, {"2 servers", "1 blocks", "block_bytes"});

  REQUIRE(RunToEnd({kLauncher, "--job=/nonexistent/job"}, output) == 2);
  RequireAllIn(output, {"/nonexistent/job"});
}

TEST_CASE("a missing data set says which path and what provides it") {
  std::string output;
  const std::string job = WriteSmallJob({});
  REQUIRE(RunToEnd({kLauncher, absl::StrCat("--job=", job),
                    "--data_dir=/nonexistent"},
                   output) == 2);
  RequireAllIn(output, {"/nonexistent", "train-images-idx3-ubyte"});
}

// A loopback port that something else listens on.
class TakenPort {
 public:
  TakenPort() : socket_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    REQUIRE(bind(socket_, generic, sizeof(address)) == 0);
    REQUIRE(listen(socket_, 1) == 0);
    socklen_t length = sizeof(address);
    REQUIRE(getsockname(socket_, generic, &length) == 0);
    address_ = absl::StrCat("127.0.0.1:", ntohs(address.sin_port));
  }
  ~TakenPort() { close(socket_); }
  const std::string& address() const { return address_; }

 private:
  int socket_;
  std::string address_;
};

// The small job, resolved as servers want it.
std::string ResolvedJob() {
  const std::string job = WriteSmallJob({});
  const std::string resolved = job + ".resolved";
  std::string output;
  const int status = RunToEnd({kLauncher, absl::StrCat("--job=", job),
                               absl::StrCat("--resolve_only=", resolved)},
                              output);
  INFO(output);
  REQUIRE(status == 0);
  return resolved;
}

TEST_CASE("a port in use is named, with what to do") {
  const TakenPort port;
  std::string output;
  REQUIRE(RunToEnd({kServer, absl::StrCat("--job=", ResolvedJob()),
                    absl::StrCat("--listen=", port.address())},
                   output) == 1);
  RequireAllIn(output, {port.address()});
}

TEST_CASE("a server that cannot be reached is named within the stated time") {
  // A port that was free a moment ago.
  std::string address;
  { address = TakenPort().address(); }
  std::string output;
  REQUIRE(RunToEnd({kWorker, absl::StrCat("--servers=", address),
                    "--unreachable_after_seconds=2"},
                   output) == 1);
  RequireAllIn(output, {address});
}

TEST_CASE("a server that accepts and never answers is no hang either") {
  const TakenPort silent;
  std::string output;
  REQUIRE(RunToEnd({kWorker, absl::StrCat("--servers=", silent.address()),
                    "--unreachable_after_seconds=2"},
                   output) == 1);
  RequireAllIn(output, {silent.address()});
}

TEST_CASE("every program explains itself") {
  for (const char* program : {kLauncher, kServer, kWorker}) {
    CAPTURE(program);
    std::string output;
    REQUIRE(RunToEnd({program, "--help"}, output) == 0);
    REQUIRE(output.size() > 500);
    REQUIRE(RunToEnd({program, "surprise"}, output) == 2);
    REQUIRE(RunToEnd({program, "--jop=x"}, output) == 2);
    RequireAllIn(output, {"--jop=x", "--help"});
  }
}

TEST_CASE("DDP and ZeRO end with the same bits, and each server holds 1/N") {
  LaunchRun run(WriteSmallJob({.block_bytes = 256, .steps = 40}), 3, 2,
                {"--compare"});
  run.RequireSuccess();
  RequireAllIn(run.command().Output(), {"DDP", "ZeRO"});
}

}  // namespace
}  // namespace tessera
