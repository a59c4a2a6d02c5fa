#include "tests/integration/hand_cluster.h"

#include <catch2/catch.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/file.h"

namespace tessera {
namespace {

std::string Resolve(const std::string& job_file, const std::string& folder) {
  const std::string resolved = folder + "/job.textproto";
  Command command({kLauncher, absl::StrCat("--job=", job_file),
                   absl::StrCat("--resolve_only=", resolved)},
                  folder + "/resolve.output");
  const auto ending = command.Wait();
  INFO(command.Output());
  REQUIRE(ending.has_value());
  REQUIRE(ending->exit_status == 0);
  return resolved;
}

// A server's address, once it can be reached there.
std::string AwaitAddress(const Command& server, const std::string& port_file) {
  REQUIRE(Eventually(
      [&] { return ReadFile(port_file).ok() || !IsAlive(server.pid()); }));
  INFO(server.Output());
  const auto address = ReadFile(port_file);
  REQUIRE(address.ok());
  return std::string(absl::StripAsciiWhitespace(*address));
}

}  // namespace

HandCluster::HandCluster(const std::string& job_file, int servers,
                         const std::vector<std::string>& server_flags)
    : folder_(NewScratchFolder()), resolved_job_(Resolve(job_file, folder_)) {
  for (int shard = 0; shard < servers; ++shard) {
    const std::string stem = absl::StrCat(folder_, "/server-", shard);
    std::vector<std::string> argv = {
        kServer, absl::StrCat("--job=", resolved_job_),
        absl::StrCat("--shard=", shard),
        absl::StrCat("--shard_count=", servers),
        absl::StrCat("--port_file=", stem, ".address")};
    // Or what lies between would see little of what they say.
    argv.push_back("--shared_memory=off");
    if (shard > 0) argv.push_back("--coordinator=" + addresses_[0]);
    argv.insert(argv.end(), server_flags.begin(), server_flags.end());
    servers_.push_back(std::make_unique<Command>(argv, stem + ".log"));
    addresses_.push_back(AwaitAddress(*servers_.back(), stem + ".address"));
  }
}

void HandCluster::StartWorker(const std::vector<std::string>& servers,
                              const std::vector<std::string>& flags) {
  const size_t index = workers_.size();
  std::vector<std::string> argv = {
      kWorker, absl::StrCat("--servers=", absl::StrJoin(servers, ",")),
      absl::StrCat("--label=worker-", index)};
  argv.insert(argv.end(), flags.begin(), flags.end());
  workers_.push_back(std::make_unique<Command>(
      argv, absl::StrCat(folder_, "/worker-", index, ".log")));
}

LaunchRun HandCluster::Watch() const {
  return LaunchRun(resolved_job_, static_cast<int>(servers_.size()), 1,
                   {absl::StrCat("--attach=", absl::StrJoin(addresses_, ","))});
}

void HandCluster::RequireWorkersEnd() {
  for (const auto& worker : workers_) {
    const auto ending = worker->Wait();
    INFO(worker->Output());
    REQUIRE(ending.has_value());
    REQUIRE(ending->signal == 0);
    REQUIRE(ending->exit_status == 0);
  }
}

std::string HandCluster::Logs() const {
  std::string logs;
  for (const auto* commands : {&servers_, &workers_}) {
    for (const auto& command : *commands) {
      absl::StrAppend(&logs, command->Output(), "\n");
    }
  }
  return logs;
}

}  // namespace tessera
