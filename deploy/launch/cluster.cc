#include "deploy/launch/cluster.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "common/base/exit_status.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"

namespace tessera {
namespace {

constexpr absl::Duration kWorkerGrace = absl::Seconds(5);
constexpr absl::Duration kServerGrace = absl::Seconds(8);
// For writing a full timeline to a slow disk.
constexpr absl::Duration kTraceGrace = absl::Seconds(60);
constexpr absl::Duration kLookInterval = absl::Milliseconds(20);
constexpr int kLogLines = 8;
// A worker that dies within this time after its start died soon.
constexpr absl::Duration kSoon = absl::Seconds(10);
constexpr absl::Duration kFirstPause = absl::Milliseconds(250);
constexpr absl::Duration kLongestPause = absl::Seconds(3);

// Before the next start, after so many deaths in a row that came soon.
absl::Duration PauseAfter(int quick_deaths) {
  absl::Duration pause = absl::ZeroDuration();
  for (int i = 1; i < quick_deaths && pause < kLongestPause; ++i) {
    pause = std::max(2 * pause, kFirstPause);
  }
  return std::min(pause, kLongestPause);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Cluster>> Cluster::Start(
    const ClusterOptions& options, const OnDeath& on_death) {
  auto cluster = std::unique_ptr<Cluster>(new Cluster(options));
  for (int shard = 0; shard < options.servers; ++shard) {
    cluster->servers_.push_back(Process{.index = shard});
    // An earlier run's, which --overwrite allows to be there.
    unlink(cluster->PortFile(shard).c_str());
  }
  for (Process& server : cluster->servers_) {
    TESSERA_RETURN_IF_ERROR(cluster->StartProcess(server));
    // The others must be told where the first is.
    if (server.index > 0) continue;
    TESSERA_RETURN_IF_ERROR(cluster->AwaitServer(server, on_death));
  }
  for (Process& server : cluster->servers_) {
    if (server.index == 0) continue;
    TESSERA_RETURN_IF_ERROR(cluster->AwaitServer(server, on_death));
  }
  for (int i = 0; i < options.workers; ++i) {
    cluster->workers_.push_back(Process{.is_worker = true, .index = i});
  }
  for (Process& worker : cluster->workers_) {
    TESSERA_RETURN_IF_ERROR(cluster->StartProcess(worker));
  }
  return cluster;
}

std::string Cluster::Process::Name() const {
  return absl::StrCat(is_worker ? "worker-" : "server-", index);
}

std::string Cluster::PortFile(int shard) const {
  return absl::StrCat(options_.run_dir, "/logs/server-", shard, ".address");
}

std::string Cluster::LogFile(const std::string& name) const {
  return absl::StrCat(options_.run_dir, "/logs/", name, ".log");
}

void Cluster::AddTraceFlag(const std::string& name,
                           std::vector<std::string>& argv) {
  if (options_.trace_dir.empty()) return;
  traces_.push_back(
      {name, absl::StrCat(options_.trace_dir, "/", name, ".json")});
  // An earlier run's must not be taken for this one's.
  unlink(traces_.back().path.c_str());
  argv.push_back(absl::StrCat("--trace_out=", traces_.back().path));
}

absl::Duration Cluster::Grace(absl::Duration without_trace) const {
  return options_.trace_dir.empty() ? without_trace
                                    : without_trace + kTraceGrace;
}

absl::Status Cluster::StartProcess(Process& process) {
  const std::string log = LogFile(process.Name());
  process.label = process.Name();
  if (process.starts == 0) {
    // An earlier run's, which --overwrite allows to be there.
    unlink(log.c_str());
  } else {
    // A new name for each life, so that the coordinator's list is unambiguous.
    absl::StrAppend(&process.label, ".", process.starts);
  }
  ++process.starts;
  process.started = absl::Now();
  process.due = absl::InfiniteFuture();
  std::vector<std::string> argv = process.is_worker
                                      ? WorkerCommand(process.label)
                                      : ServerCommand(process.index);
  AddTraceFlag(process.label, argv);
  TESSERA_ASSIGN_OR_RETURN(process.child, Child::Start(argv, log));
  return absl::OkStatus();
}

std::vector<std::string> Cluster::ServerCommand(int shard) const {
  // Once it was there: where the workers and the other servers look for it.
  const auto at = static_cast<size_t>(shard);
  const std::string listen =
      at < addresses_.size() ? addresses_[at] : "127.0.0.1:0";
  std::vector<std::string> argv = {
      options_.server_binary,
      absl::StrCat("--job=", options_.job_file),
      absl::StrCat("--shard=", shard),
      absl::StrCat("--shard_count=", options_.servers),
      absl::StrCat("--listen=", listen),
      absl::StrCat("--port_file=", PortFile(shard))};
  if (shard > 0) argv.push_back("--coordinator=" + addresses_.front());
  argv.insert(argv.end(), options_.server_flags.begin(),
              options_.server_flags.end());
  return argv;
}

std::vector<std::string> Cluster::WorkerCommand(
    const std::string& label) const {
  std::vector<std::string> argv = {
      options_.worker_binary,
      absl::StrCat("--servers=", absl::StrJoin(addresses_, ",")),
      absl::StrCat("--label=", label)};
  argv.insert(argv.end(), options_.worker_flags.begin(),
              options_.worker_flags.end());
  return argv;
}

absl::Status Cluster::AwaitServer(Process& server, const OnDeath& on_death) {
  const int shard = server.index;
  const absl::Time deadline = absl::Now() + options_.start_timeout;
  while (true) {
    const auto address = ReadFile(PortFile(shard));
    if (address.ok()) {
      addresses_.emplace_back(absl::StripAsciiWhitespace(*address));
      return absl::OkStatus();
    }
    Child& child = *server.child;
    if (absl::Now() > deadline) {
      return absl::DeadlineExceededError(absl::StrCat(
          "server ", shard, " does not listen after ",
          absl::FormatDuration(options_.start_timeout), "; its log is ",
          child.log_path(), "\n", child.LogTail(kLogLines)));
    }
    // Another program's file is all there is to look at; its end can be waited
    // for.
    const auto ending = child.WaitFor(kLookInterval);
    if (!ending) continue;
    if (ending->signal == 0) {
      return absl::Status(
          ending->exit_status == kExitUsage
              ? absl::StatusCode::kInvalidArgument
              : absl::StatusCode::kFailedPrecondition,
          absl::StrCat("server ", shard, " did not start: ", Describe(*ending),
                       "\n", child.LogTail(kLogLines)));
    }
    // One that was killed did not choose to end.
    TESSERA_RETURN_IF_ERROR(Bury(server, *ending, on_death));
    absl::SleepFor(server.due - absl::Now());
    TESSERA_RETURN_IF_ERROR(StartProcess(server));
  }
}

absl::Status Cluster::TendProcess(Process& process, const OnDeath& on_death) {
  if (process.child != nullptr) {
    const auto ending = process.child->Ending();
    if (!ending) return absl::OkStatus();
    if (process.is_worker && ending->signal == 0 && ending->exit_status == 0) {
      process.child.reset();
      return absl::OkStatus();
    }
    TESSERA_RETURN_IF_ERROR(Bury(process, *ending, on_death));
  }
  return absl::Now() < process.due ? absl::OkStatus() : StartProcess(process);
}

absl::Status Cluster::Bury(Process& process, const ChildEnding& ending,
                           const OnDeath& on_death) {
  const absl::Time now = absl::Now();
  std::string report = absl::StrCat(process.label, " died: ", Describe(ending));
  const std::string log = process.child->LogTail(kLogLines);
  if (ending.signal == 0 && ending.exit_status == kExitUsage) {
    return absl::AbortedError(absl::StrCat(report, "\n", log));
  }
  int& used = process.is_worker ? worker_restarts_ : server_restarts_;
  const int max =
      process.is_worker ? options_.worker_restarts : options_.server_restarts;
  if (used >= max) {
    return absl::AbortedError(absl::StrCat(
        report, ", after ", used, " restarts (--",
        process.is_worker ? "worker_restarts" : "server_restarts", ")\n", log));
  }
  ++used;
  process.quick_deaths =
      now - process.started < kSoon ? process.quick_deaths + 1 : 0;
  const absl::Duration pause = PauseAfter(process.quick_deaths);
  process.due = now + pause;
  absl::StrAppend(&report, "; starting it again ");
  if (pause > absl::ZeroDuration()) {
    absl::StrAppend(&report, "in ", absl::FormatDuration(pause), " ");
  }
  absl::StrAppend(&report, "(", used, " of ", max, " restarts)");
  // A program that ends by itself says why; one that was killed cannot.
  if (ending.signal == 0) absl::StrAppend(&report, "\n", log);
  absl::StripTrailingAsciiWhitespace(&report);
  process.child.reset();
  on_death({.label = process.is_worker ? process.label : "", .report = report});
  return absl::OkStatus();
}

absl::Status Cluster::Tend(const OnDeath& on_death) {
  for (std::vector<Process>* kind : {&servers_, &workers_}) {
    for (Process& process : *kind) {
      TESSERA_RETURN_IF_ERROR(TendProcess(process, on_death));
    }
  }
  return absl::OkStatus();
}

absl::Status Cluster::StartWorkersAgain() {
  for (Process& worker : workers_) {
    if (worker.HasLeft()) TESSERA_RETURN_IF_ERROR(StartProcess(worker));
  }
  return absl::OkStatus();
}

void Cluster::AwaitEnding(absl::Duration timeout) const {
  std::vector<Child*> children;
  const absl::Time now = absl::Now();
  for (const std::vector<Process>* kind : {&servers_, &workers_}) {
    for (const Process& process : *kind) {
      if (process.child != nullptr) children.push_back(process.child.get());
      timeout = std::min(timeout, process.due - now);
    }
  }
  AwaitAnyEnding(children, std::max(timeout, absl::ZeroDuration()));
}

bool Cluster::AllWorkersHaveLeft() const {
  return std::all_of(workers_.begin(), workers_.end(),
                     [](const Process& worker) { return worker.HasLeft(); });
}

void Cluster::Stop() {
  const auto stop = [](std::vector<Process>& processes, absl::Duration grace) {
    std::vector<Child*> children;
    for (Process& process : processes) {
      if (process.child != nullptr) children.push_back(process.child.get());
    }
    StopAll(children, grace);
  };
  stop(workers_, Grace(kWorkerGrace));
  stop(servers_, Grace(kServerGrace));
  workers_.clear();
  servers_.clear();
}

}  // namespace tessera
