// Servers that die under a real job, and jobs that go on another time.

#include <signal.h>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/file.h"
#include "tests/integration/job_run.h"

namespace tessera {
namespace {

constexpr char kCtl[] = "deploy/tessera_ctl";
constexpr char kRollback[] = "\"kind\":\"rollback\"";

// Long enough that a fast machine is not done before the last kill.
constexpr int kSteps = 2000;

const std::string& Undisturbed() {
  static const std::string* const sha =
      new std::string(RunAndHash({.steps = kSteps}, 2, 2));
  return *sha;
}

// Kills the server of a shard once the run is `steps` further.
void KillServer(LaunchRun& run, int shard, int steps) {
  const int from = run.StepsSeen();
  std::vector<pid_t> found;
  REQUIRE(Eventually([&] {
    if (run.StepsSeen() <= from + steps) return false;
    found = Descendants(run.command().pid(), absl::StrCat("--shard=", shard));
    return !found.empty();
  }));
  kill(found.front(), SIGKILL);
}

// Of step 0, as the run has recorded it.
double FirstLoss(const LaunchRun& run) {
  const auto metrics = ReadFile(run.run_dir() + "/metrics.jsonl");
  REQUIRE(metrics.ok());
  return nlohmann::json::parse(metrics->substr(0, metrics->find('\n')))["loss"];
}

int Run(const std::vector<std::string>& argv, std::string* output) {
  Command command(argv, NewScratchFolder() + "/output");
  const auto ending = command.Wait();
  *output = command.Output();
  return ending.has_value() ? ending->exit_status : -1;
}

// What tessera_ctl says of the job; empty while nobody answers.
std::string StatusText(const LaunchRun& run) {
  std::string output;
  return Run({kCtl, "status", run.ServerAddress(0)}, &output) == 0 ? output
                                                                   : "";
}

// What the job says of its steps, which the run's files learn a little later.
std::string StepsLine(const LaunchRun& run) {
  const std::string status = StatusText(run);
  const size_t begin = status.find("\nsteps ");
  REQUIRE(begin != std::string::npos);
  return status.substr(begin + 1, status.find('\n', begin + 1) - begin - 1);
}

// Until the job says that it has a checkpoint: how many steps that takes is the
// disk's affair.
void AwaitCheckpoint(const LaunchRun& run) {
  REQUIRE(Eventually(
      [&] { return absl::StrContains(StatusText(run), "/checkpoint-0"); }));
}

TEST_CASE("servers are killed, shard 0's too, and the bits stay") {
  LaunchRun run(WriteSmallJob({.steps = kSteps}), 2, 2,
                {"--checkpoint_every_steps=20"});
  KillServer(run, 1, 50);
  KillServer(run, 0, 50);
  KillServer(run, 1, 20);
  run.RequireSuccess();
  INFO(run.command().Output());
  REQUIRE(run.Summary()["params_sha256"] == Undisturbed());
  REQUIRE(run.Summary()["recoveries"].get<int>() >= 2);
  REQUIRE(run.Summary()["checkpoint_version"] == kSteps);
  REQUIRE(absl::StrContains(run.command().Output(), "recovered"));
  std::string output;
  REQUIRE(Run({kCtl, "verify", run.run_dir() + "/checkpoints"}, &output) == 0);
  REQUIRE(Run({kCtl, "diff", run.run_dir() + "/checkpoints",
               run.run_dir() + "/params.safetensors"},
              &output) == 0);
}

TEST_CASE("without checkpoints the job begins again, and the bits stay") {
  LaunchRun run(WriteSmallJob({.steps = kSteps}), 2, 2,
                {"--checkpoint_dir=none"});
  KillServer(run, 0, 20);
  run.RequireSuccess();
  REQUIRE(run.Summary()["params_sha256"] == Undisturbed());
  REQUIRE(run.Summary()["checkpoint_version"] == -1);
}

TEST_CASE("a run that was interrupted goes on, on other servers") {
  const std::string job = WriteSmallJob({.steps = kSteps});
  const std::string checkpoints = NewScratchFolder() + "/checkpoints";
  const std::vector<std::string> flags = {"--checkpoint_dir=" + checkpoints,
                                          "--checkpoint_every_steps=10"};
  {
    LaunchRun first(job, 2, 2, flags);
    AwaitCheckpoint(first);
    first.command().Signal(SIGKILL);
    REQUIRE(first.command().Wait().has_value());
  }
  // What is there is not overlooked.
  LaunchRun refused(job, 3, 1, flags);
  const auto ending = refused.command().Wait();
  REQUIRE(ending.has_value());
  REQUIRE(ending->exit_status == 2);
  REQUIRE(absl::StrContains(refused.command().Output(), "--resume"));

  std::vector<std::string> resume = flags;
  resume.emplace_back("--resume");
  LaunchRun second(job, 3, 1, resume);
  second.RequireSuccess();
  REQUIRE(second.Summary()["params_sha256"] == Undisturbed());
}

TEST_CASE("imported weights are where a resumed run begins") {
  const std::string job = WriteSmallJob({.steps = 40});
  LaunchRun first(job, 1, 1);
  first.RequireSuccess();
  const std::string root = NewScratchFolder() + "/checkpoints";
  std::string output;
  REQUIRE(Run({kCtl, "import", first.run_dir() + "/params.safetensors", root,
               absl::StrCat("--job=", first.run_dir(), "/job.textproto")},
              &output) == 0);
  LaunchRun second(job, 2, 1, {"--checkpoint_dir=" + root, "--resume"});
  second.RequireSuccess();
  REQUIRE(second.StepsSeen() == 40);
  // It has learned all its life.
  REQUIRE(second.Summary()["params_sha256"] !=
          first.Summary()["params_sha256"]);
  REQUIRE(FirstLoss(second) < FirstLoss(first) / 2);

  // Another job's checkpoints are refused, in the server's words.
  LaunchRun other(WriteSmallJob({.steps = 50}), 2, 1,
                  {"--checkpoint_dir=" + root, "--resume"});
  const auto ending = other.command().Wait();
  REQUIRE(ending.has_value());
  INFO(other.command().Output());
  REQUIRE(ending->exit_status == 2);
  REQUIRE(absl::StrContains(other.command().Output(), "of another job"));
}

TEST_CASE("a run that went back and is stopped tells of what it has done") {
  LaunchRun run(WriteSmallJob({.steps = 1000000}), 2, 2,
                {"--checkpoint_dir=none"});
  KillServer(run, 1, 300);
  REQUIRE(Eventually([&] {
    const std::string metrics =
        ReadFile(run.run_dir() + "/metrics.jsonl").value_or("");
    const size_t mark = metrics.rfind(kRollback);
    return mark != std::string::npos &&
           metrics.find("\"kind\":\"step\"", mark) != std::string::npos;
  }));
  REQUIRE(absl::StrContains(run.command().Output(), "recovered"));
  run.command().Signal(SIGTERM);
  const auto ending = run.command().Wait();
  REQUIRE(ending.has_value());
  INFO(run.command().Output());
  REQUIRE(ending->exit_status == 143);
  const auto metrics = ReadFile(run.run_dir() + "/metrics.jsonl");
  REQUIRE(metrics.ok());
  // The lines of the last life, whose beginning is marked.
  const size_t mark = metrics->rfind(kRollback);
  REQUIRE(mark != std::string::npos);
  const int steps = run.Summary()["steps"];
  const auto has_step = [&](int step) {
    return absl::StrContains(
        metrics->substr(mark),
        absl::StrCat("\"kind\":\"step\",\"step\":", step, ","));
  };
  REQUIRE(has_step(steps - 1));
  REQUIRE_FALSE(has_step(steps));
}

TEST_CASE("SIGTERM ends a run that cannot end its step") {
  LaunchRun run(WriteSmallJob({.steps = 1000000}), 2, 2,
                {"--checkpoint_every_steps=10", "--stop_within_seconds=2"});
  AwaitCheckpoint(run);
  const auto children = Descendants(run.command().pid(), "tessera_");
  const auto servers = Descendants(run.command().pid(), "--shard=1");
  REQUIRE(servers.size() == 1);
  kill(servers.front(), SIGSTOP);
  run.command().Signal(SIGTERM);
  const auto ending = run.command().Wait();
  REQUIRE(ending.has_value());
  INFO(run.command().Output());
  REQUIRE(ending->exit_status == 143);
  REQUIRE(absl::StrContains(run.command().Output(), "has not ended 2s after"));
  for (pid_t child : children) REQUIRE_FALSE(IsAlive(child));
  std::string output;
  REQUIRE(Run({kCtl, "verify", run.run_dir() + "/checkpoints"}, &output) == 0);
}

TEST_CASE("a server that is stopped for a while is waited for") {
  LaunchRun run(WriteSmallJob({.steps = kSteps}), 2, 2, {"--lease_seconds=1"});
  REQUIRE(Eventually([&] { return run.StepsSeen() > 20; }));
  const auto servers = Descendants(run.command().pid(), "--shard=1");
  REQUIRE_FALSE(servers.empty());
  kill(servers.front(), SIGSTOP);
  // Longer than the lease. There is nothing to wait for: nothing happens.
  absl::SleepFor(absl::Seconds(2));
  const std::string before = StepsLine(run);
  absl::SleepFor(absl::Seconds(1));
  REQUIRE(StepsLine(run) == before);
  kill(servers.front(), SIGCONT);
  run.RequireSuccess();
  REQUIRE(run.Summary()["params_sha256"] == Undisturbed());
  REQUIRE(run.Summary()["recoveries"] == 0);
}

// The launcher is stopped meanwhile, so that it neither starts servers again
// nor fetches the parameters before they die.
TEST_CASE("servers that die once the job has ended still hand it over") {
  const std::vector<std::string> shards =
      GENERATE(std::vector<std::string>{"--shard=1"},
               std::vector<std::string>{"--shard=0"},
               std::vector<std::string>{"--shard=0", "--shard=1"});
  LaunchRun run(WriteSmallJob({.steps = kSteps}), 2, 2,
                {"--checkpoint_every_steps=100"});
  REQUIRE(Eventually([&] { return run.StepsSeen() > 20; }));
  kill(run.command().pid(), SIGSTOP);
  REQUIRE(Eventually([&] {
    return absl::StrContains(StatusText(run), "phase        ended");
  }));
  for (const std::string& shard : shards) {
    const auto servers = Descendants(run.command().pid(), shard);
    REQUIRE(servers.size() == 1);
    kill(servers.front(), SIGKILL);
  }
  kill(run.command().pid(), SIGCONT);
  run.RequireSuccess();
  REQUIRE(run.Summary()["params_sha256"] == Undisturbed());
  REQUIRE(run.Summary()["checkpoint_version"] == kSteps);
}

TEST_CASE("a wait that is too long ends the job with a status of its own") {
  LaunchRun run(
      WriteSmallJob({.steps = 1000000,
                     .extra = "operation { wait { stop_after_seconds: 5 } "
                              "checkpoint { every_steps: 10 } }"}),
      2, 1);
  AwaitCheckpoint(run);
  const auto servers = Descendants(run.command().pid(), "--shard=1");
  REQUIRE_FALSE(servers.empty());
  kill(servers.front(), SIGSTOP);
  const auto ending = run.command().Wait();
  REQUIRE(ending.has_value());
  INFO(run.command().Output());
  REQUIRE(ending->exit_status == 3);
  REQUIRE(absl::StrContains(run.command().Output(), "stop_after_seconds"));
  REQUIRE(absl::StrContains(run.command().Output(), "checkpoint-0000"));
}

TEST_CASE("a checkpoint is made when somebody asks, and says where it is") {
  LaunchRun run(WriteSmallJob({.steps = 1000000}), 2, 2);
  REQUIRE(Eventually([&] { return run.StepsSeen() > 5; }));
  std::string output;
  REQUIRE(Run({kCtl, "checkpoint", run.ServerAddress(0)}, &output) == 0);
  const size_t folder = output.find(run.run_dir());
  REQUIRE(folder != std::string::npos);
  const std::string set =
      output.substr(folder, output.find('\n', folder) - folder);
  REQUIRE(Run({kCtl, "verify", set}, &output) == 0);
  // Now and then it evaluates, and workers come when they are ready.
  REQUIRE(Eventually([&] {
    output = StatusText(run);
    return absl::StrContains(output, "phase        training") &&
           absl::StrContains(output, "worker-0") &&
           absl::StrContains(output, "worker-1");
  }));
  INFO(output);
  REQUIRE(absl::StrContains(output, "checkpoint   version"));
  for (int shard = 0; shard < 2; ++shard) {
    REQUIRE(absl::StrContains(output,
                              absl::StrCat("shard ", shard, "      ",
                                           run.ServerAddress(shard), ", ")));
  }
  REQUIRE(Run({kCtl, "status", "127.0.0.1:1", "--timeout_seconds=1"},
              &output) == 2);
  run.command().Signal(SIGTERM);
  const auto ending = run.command().Wait();
  REQUIRE(ending.has_value());
  REQUIRE(ending->exit_status == 143);
  // A job that is told to stop leaves the version that it ends at.
  REQUIRE(run.Summary()["checkpoint_version"] == run.Summary()["steps"]);
}

}  // namespace
}  // namespace tessera
