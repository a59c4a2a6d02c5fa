// The cluster's care for its processes, with shell scripts in place of servers
// and workers.

#include "deploy/launch/cluster.h"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/file.h"
#include "tests/support/command.h"
#include "tests/support/status.h"

namespace tessera {
namespace {

// Writes its address, then serves until it is told to stop.
constexpr char kServer[] = R"(
for flag; do case $flag in
  --port_file=*) file=${flag#*=};;
  --shard=*) shard=${flag#*=};;
esac; done
echo "127.0.0.1:700$shard" > "$file.new"; mv "$file.new" "$file"
exec sleep 1000)";

class TestCluster {
 public:
  TestCluster() {
    options_.run_dir = NewScratchFolder();
    REQUIRE_OK(MakeDirectories(options_.run_dir + "/logs"));
    options_.job_file = options_.run_dir + "/job.textproto";
    options_.server_binary = Program("server", kServer);
    options_.worker_binary = Program("worker", "exec sleep 1000");
    options_.servers = 2;
    options_.workers = 2;
  }

  // A script that runs as a program.
  std::string Program(const std::string& name, const std::string& script) {
    const std::string path = absl::StrCat(options_.run_dir, "/", name);
    REQUIRE_OK(
        WriteFileAtomically(path, absl::StrCat("#!/bin/sh\n", script, "\n")));
    REQUIRE(chmod(path.c_str(), 0755) == 0);
    return path;
  }

  std::string Log(const std::string& name) const {
    return ReadFile(absl::StrCat(options_.run_dir, "/logs/", name, ".log"))
        .value_or("");
  }

  ClusterOptions& options() { return options_; }

  // The deaths go to deaths().
  absl::StatusOr<std::unique_ptr<Cluster>> TryStart() {
    return Cluster::Start(options_, Recorder());
  }

  std::unique_ptr<Cluster> Start() {
    auto cluster = TryStart();
    REQUIRE_OK(cluster);
    return *std::move(cluster);
  }

  // Tends until that fails or `done` holds; the deaths go to deaths().
  template <typename Done>
  absl::Status TendUntil(Cluster& cluster, Done done) {
    const absl::Time deadline = absl::Now() + absl::Minutes(2);
    while (!done()) {
      REQUIRE(absl::Now() < deadline);
      const absl::Status status = cluster.Tend(Recorder());
      if (!status.ok()) return status;
      cluster.AwaitEnding(absl::Milliseconds(100));
    }
    return absl::OkStatus();
  }
  absl::Status TendUntilFailure(Cluster& cluster) {
    return TendUntil(cluster, [] { return false; });
  }

  const std::vector<Death>& deaths() const { return deaths_; }

 private:
  OnDeath Recorder() {
    return [this](const Death& death) { deaths_.push_back(death); };
  }

  ClusterOptions options_;
  std::vector<Death> deaths_;
};

std::vector<pid_t> Family() { return Descendants(getpid(), ""); }

TEST_CASE("servers start, then workers that are told where") {
  TestCluster test;
  test.options().server_flags = {"--lease_seconds=3"};
  test.options().worker_flags = {"--data_dir=/d"};
  test.options().worker_binary =
      test.Program("worker", "echo \"$@\"; exec sleep 1000");
  const auto cluster = test.Start();
  REQUIRE(cluster->addresses() ==
          std::vector<std::string>{"127.0.0.1:7000", "127.0.0.1:7001"});
  for (int i = 0; i < 2; ++i) {
    const std::string expected =
        absl::StrCat("--servers=127.0.0.1:7000,127.0.0.1:7001 --label=worker-",
                     i, " --data_dir=/d\n");
    REQUIRE(Eventually(
        [&] { return test.Log(absl::StrCat("worker-", i)) == expected; }));
  }
  REQUIRE_FALSE(cluster->AllWorkersHaveLeft());
}

TEST_CASE("nothing is left after Stop, nor after the object has gone") {
  TestCluster test;
  auto cluster = test.Start();
  REQUIRE(Family().size() == 4);
  SECTION("Stop") { cluster->Stop(); }
  SECTION("destructor") { cluster.reset(); }
  REQUIRE(Family().empty());
}

TEST_CASE("a server that does not start says why, and nothing is left") {
  TestCluster test;
  test.options().server_binary =
      test.Program("server", "echo port in use; exit 3");
  REQUIRE_ERROR(test.TryStart(), absl::StatusCode::kFailedPrecondition,
                "server 0", "exit status 3", "port in use");
  REQUIRE(Family().empty());
}

TEST_CASE("a server that refuses its job at once is the user's mistake") {
  TestCluster test;
  test.options().server_binary =
      test.Program("server", "echo of another job; exit 2");
  REQUIRE_ERROR(test.TryStart(), absl::StatusCode::kInvalidArgument, "server 0",
                "of another job");
}

TEST_CASE("a server that never listens is given up, with its log's place") {
  TestCluster test;
  test.options().server_binary =
      test.Program("server", "echo thinking; exec sleep 1000");
  test.options().start_timeout = absl::Milliseconds(300);
  REQUIRE_ERROR(test.TryStart(), absl::StatusCode::kDeadlineExceeded,
                "server 0", "300ms", "logs/server-0.log");
  REQUIRE(Family().empty());
}

TEST_CASE("a server that is killed before it listens is started again") {
  TestCluster test;
  test.options().server_binary = test.Program(
      "server",
      absl::StrCat("mkdir ", test.options().run_dir,
                   "/was-here 2> /dev/null && kill -9 $$\n", kServer));
  const auto cluster = test.Start();
  REQUIRE(cluster->addresses().size() == 2);
  REQUIRE(test.deaths().size() == 1);
  REQUIRE(test.deaths()[0].report ==
          "server-0 died: killed by signal 9 (SIGKILL); starting it again (1 "
          "of 20 restarts)");
  REQUIRE(cluster->server_restarts() == 1);
}

TEST_CASE("a server that keeps being killed before it listens is given up") {
  TestCluster test;
  test.options().server_restarts = 2;
  test.options().server_binary =
      test.Program("server", "echo last words; kill -9 $$");
  REQUIRE_ERROR(test.TryStart(), absl::StatusCode::kAborted, "server-0.2 died",
                "--server_restarts", "last words");
  REQUIRE(test.deaths().size() == 2);
  REQUIRE(Family().empty());
}

TEST_CASE("an address file of an earlier run is not taken for this one's") {
  TestCluster test;
  test.options().servers = 1;
  test.options().start_timeout = absl::Milliseconds(300);
  test.options().server_binary = test.Program("server", "exec sleep 1000");
  REQUIRE_OK(WriteFileAtomically(
      test.options().run_dir + "/logs/server-0.address", "127.0.0.1:1\n"));
  REQUIRE_ERROR(test.TryStart(), absl::StatusCode::kDeadlineExceeded,
                "server 0");
}

TEST_CASE("a program that is not there is named") {
  TestCluster test;
  SECTION("server") {
    test.options().server_binary = "/nonexistent/server";
    REQUIRE_ERROR(test.TryStart(), absl::StatusCode::kNotFound,
                  "/nonexistent/server");
  }
  SECTION("worker") {
    test.options().worker_binary = "/nonexistent/worker";
    REQUIRE_ERROR(test.TryStart(), absl::StatusCode::kNotFound,
                  "/nonexistent/worker");
  }
  REQUIRE(Family().empty());
}

TEST_CASE("a killed worker is reported and started again under a new name") {
  TestCluster test;
  test.options().workers = 1;
  test.options().worker_binary =
      test.Program("worker", "echo \"$@\"; exec sleep 1000");
  const auto cluster = test.Start();
  REQUIRE(Eventually([&] { return !test.Log("worker-0").empty(); }));
  const auto workers = Descendants(getpid(), "sleep");
  REQUIRE(workers.size() == 3);  // The servers sleep too.
  kill(workers.back(), SIGKILL);
  REQUIRE_OK(test.TendUntil(*cluster, [&] { return !test.deaths().empty(); }));
  REQUIRE(test.deaths().size() == 1);
  REQUIRE(test.deaths()[0].label == "worker-0");
  REQUIRE(test.deaths()[0].report ==
          "worker-0 died: killed by signal 9 (SIGKILL); starting it again (1 "
          "of 20 restarts)");
  REQUIRE(Eventually([&] {
    return absl::StrContains(test.Log("worker-0"), "--label=worker-0.1");
  }));
}

TEST_CASE("a worker that keeps dying is given up, with its last words") {
  TestCluster test;
  test.options().workers = 1;
  test.options().worker_restarts = 2;
  test.options().worker_binary =
      test.Program("worker",
                   "for f; do case $f in --label=*) echo I am $f;; esac; done; "
                   "exit 1");
  const auto cluster = test.Start();
  const absl::Status status = test.TendUntilFailure(*cluster);
  REQUIRE_ERROR(status, absl::StatusCode::kAborted, "worker-0.2",
                "exit status 1", "after 2 restarts", "--worker_restarts",
                "I am --label=worker-0.2");
  // Each life's words are told once.
  REQUIRE_FALSE(absl::StrContains(status.message(), "I am --label=worker-0\n"));
  REQUIRE(test.deaths().size() == 2);
  REQUIRE(absl::StrContains(test.deaths()[0].report, "I am --label=worker-0"));
  // The second death came soon after the first: a pause.
  REQUIRE_FALSE(absl::StrContains(test.deaths()[0].report, "again in"));
  REQUIRE(absl::StrContains(test.deaths()[1].report, "again in 250ms"));
}

TEST_CASE("a worker that refuses its flags is not started again") {
  TestCluster test;
  test.options().worker_binary =
      test.Program("worker", "echo what is this flag; exit 2");
  const auto cluster = test.Start();
  REQUIRE_ERROR(test.TendUntilFailure(*cluster), absl::StatusCode::kAborted,
                "exit status 2", "what is this flag");
  REQUIRE(test.deaths().empty());
}

TEST_CASE("workers that end well have left, and are no deaths") {
  TestCluster test;
  test.options().worker_binary = test.Program("worker", "exit 0");
  const auto cluster = test.Start();
  REQUIRE_OK(
      test.TendUntil(*cluster, [&] { return cluster->AllWorkersHaveLeft(); }));
  REQUIRE(test.deaths().empty());
}

TEST_CASE("a killed server is started again where it was") {
  TestCluster test;
  test.options().server_binary =
      test.Program("server", absl::StrCat("echo \"$@\"\n", kServer));
  const auto cluster = test.Start();
  const auto servers = Descendants(getpid(), "sleep");
  kill(servers.front(), SIGKILL);
  REQUIRE_OK(test.TendUntil(*cluster, [&] { return !test.deaths().empty(); }));
  REQUIRE(test.deaths()[0].label.empty());
  REQUIRE(test.deaths()[0].report ==
          "server-0 died: killed by signal 9 (SIGKILL); starting it again (1 "
          "of 20 restarts)");
  REQUIRE(cluster->server_restarts() == 1);
  REQUIRE(Eventually([&] {
    return absl::StrContains(test.Log("server-0"), "--listen=127.0.0.1:7000");
  }));
  // Also the other one knows where.
  REQUIRE(
      absl::StrContains(test.Log("server-1"), "--coordinator=127.0.0.1:7000"));
}

TEST_CASE("a server that keeps dying ends the run, with its last words") {
  TestCluster test;
  test.options().server_restarts = 0;
  test.options().server_binary =
      test.Program("server", absl::StrCat("echo last words\n", kServer));
  const auto cluster = test.Start();
  const auto servers = Descendants(getpid(), "sleep");
  kill(servers.front(), SIGKILL);
  REQUIRE_ERROR(test.TendUntilFailure(*cluster), absl::StatusCode::kAborted,
                "server-0 died", "killed by signal 9 (SIGKILL)",
                "--server_restarts", "last words");
}

TEST_CASE("workers that have left can be started again") {
  TestCluster test;
  test.options().worker_binary = test.Program("worker", "exit 0");
  const auto cluster = test.Start();
  REQUIRE_OK(
      test.TendUntil(*cluster, [&] { return cluster->AllWorkersHaveLeft(); }));
  REQUIRE_OK(cluster->StartWorkersAgain());
  REQUIRE_FALSE(cluster->AllWorkersHaveLeft());
}

TEST_CASE("an earlier run's logs are not added to") {
  TestCluster test;
  const std::string logs = test.options().run_dir + "/logs/";
  REQUIRE_OK(WriteFileAtomically(logs + "server-0.log", "old\n"));
  REQUIRE_OK(WriteFileAtomically(logs + "worker-0.log", "old\n"));
  const auto cluster = test.Start();
  REQUIRE(test.Log("server-0").empty());
  REQUIRE(test.Log("worker-0").empty());
}

}  // namespace
}  // namespace tessera
