#include "tests/soak/disturber.h"

#include <signal.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/status_macros.h"

namespace tessera {
namespace {

constexpr absl::Duration kLookInterval = absl::Milliseconds(10);
// Only there to end a soak that hangs.
constexpr absl::Duration kLongest = absl::Minutes(3);
// The run's lease is a second.
constexpr absl::Duration kPastLease = absl::Milliseconds(1500);
constexpr absl::Duration kMoment = absl::Milliseconds(300);

}  // namespace

Disturber::Disturber(SoakRun& run, uint64_t seed) : run_(run), random_(seed) {}

int Disturber::kill_count() const {
  int count = 0;
  for (const auto& [kind, kills] : kills_) count += kills;
  return count;
}

std::string Disturber::Where() const {
  return absl::StrCat("generation ", clock_.generation(), ", ",
                      clock_.steps_done(), " steps done, ",
                      clock_.is_recovering() ? "recovering" : "not recovering",
                      "; last status:\n", last_status_);
}

void Disturber::Look() {
  auto status = run_.Status();
  if (!status.has_value()) return;
  clock_.OnStatus(*status, absl::Now());
  status->clear_steps();
  status->clear_evaluations();
  last_status_ = status->DebugString();
}

absl::Status Disturber::LookUntil(const std::string& what,
                                  const std::function<bool()>& condition,
                                  absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  while (true) {
    Look();
    if (condition()) return absl::OkStatus();
    if (absl::Now() > deadline) {
      return absl::DeadlineExceededError(
          absl::StrCat("waited ", absl::FormatDuration(timeout), " for ", what,
                       "; ", Where()));
    }
    if (run_.HasEnded()) {
      return absl::AbortedError(
          absl::StrCat("the run ended before ", what, "; ", Where()));
    }
    absl::SleepFor(kLookInterval);
  }
}

absl::Status Disturber::Begin() {
  TESSERA_RETURN_IF_ERROR(LookUntil(
      "all servers to listen", [this] { return !run_.Addresses().empty(); },
      kLongest));
  guest_ = std::make_unique<GuestWorker>(run_.Addresses());
  guest_->Start();
  return absl::OkStatus();
}

absl::Status Disturber::AwaitSteps(int64_t steps) {
  // It was killed.
  if (!guest_->IsRunning()) guest_->Start();
  return LookUntil(
      absl::StrCat("step ", steps),
      [&] { return !clock_.is_recovering() && clock_.steps_done() >= steps; },
      kLongest);
}

void Disturber::Kill(const std::string& kind, pid_t pid) {
  ++kills_[kind];
  kill(pid, SIGKILL);
}

int Disturber::AnyShard() {
  return static_cast<int>(random_() %
                          static_cast<uint64_t>(run_.options().servers));
}

int Disturber::ShardButZero() {
  return static_cast<int>(
      1 + random_() % static_cast<uint64_t>(run_.options().servers - 1));
}

// Processes that are about to be started are waited for.
absl::Status Disturber::KillAtOnce(const std::vector<int>& shards,
                                   int workers) {
  std::vector<pid_t> servers;
  std::vector<pid_t> chosen;
  const auto are_there = [&] {
    servers.clear();
    for (const int shard : shards) {
      const std::optional<pid_t> pid = run_.Server(shard);
      if (pid.has_value()) servers.push_back(*pid);
    }
    chosen = run_.Workers();
    return servers.size() == shards.size() &&
           static_cast<int>(chosen.size()) >= workers;
  };
  TESSERA_RETURN_IF_ERROR(LookUntil("processes to kill", are_there, kLongest));
  if (clock_.is_recovering()) {
    kills_while_recovering_ += static_cast<int>(shards.size());
  }
  for (size_t i = 0; i < shards.size(); ++i) {
    Kill(shards[i] == 0 ? "server of shard 0" : "server of another shard",
         servers[i]);
    clock_.OnDeath(absl::Now());
  }
  for (int i = 0; i < workers; ++i) {
    const size_t index = random_() % chosen.size();
    Kill("worker", chosen[index]);
    chosen.erase(chosen.begin() + static_cast<std::ptrdiff_t>(index));
  }
  return absl::OkStatus();
}

absl::Status Disturber::KillAllWorkers() {
  if (!guest_->IsRunning()) guest_->Start();
  TESSERA_RETURN_IF_ERROR(KillAtOnce({}, run_.options().workers));
  Kill("worker", guest_->pid());
  return absl::OkStatus();
}

absl::Status Disturber::KillServerAgain() {
  const int shard = AnyShard();
  const std::optional<pid_t> before = run_.Server(shard);
  TESSERA_RETURN_IF_ERROR(KillAtOnce({shard}, 0));
  TESSERA_RETURN_IF_ERROR(LookUntil(
      "its successor",
      [&] {
        const auto now = run_.Server(shard);
        return now.has_value() && now != before;
      },
      kLongest));
  absl::SleepFor(absl::Milliseconds(random_() % 100));
  return KillAtOnce({AnyShard()}, 0);
}

absl::Status Disturber::StopFor(pid_t pid, absl::Duration time) {
  const absl::Time end = absl::Now() + time;
  kill(pid, SIGSTOP);
  const absl::Status status = LookUntil(
      "a stop to be over", [&] { return absl::Now() >= end; }, kLongest);
  kill(pid, SIGCONT);
  return status;
}

absl::StatusOr<pid_t> Disturber::AnyWorker() {
  std::vector<pid_t> workers;
  // The last action may have killed them all.
  TESSERA_RETURN_IF_ERROR(LookUntil(
      "a worker",
      [&] {
        workers = run_.Workers();
        return !workers.empty();
      },
      kLongest));
  return workers[random_() % workers.size()];
}

absl::Status Disturber::StopWorkerPastLease() {
  TESSERA_ASSIGN_OR_RETURN(const pid_t worker, AnyWorker());
  return StopFor(worker, kPastLease);
}

absl::Status Disturber::SlowWorker() {
  TESSERA_ASSIGN_OR_RETURN(const pid_t worker, AnyWorker());
  for (int i = 0; i < 20; ++i) {
    TESSERA_RETURN_IF_ERROR(StopFor(worker, absl::Milliseconds(90)));
    absl::SleepFor(absl::Milliseconds(10));
  }
  return absl::OkStatus();
}

absl::Status Disturber::StopServer() {
  const int shard = AnyShard();
  std::optional<pid_t> pid;
  TESSERA_RETURN_IF_ERROR(LookUntil(
      "a server to stop",
      [&] {
        pid = run_.Server(shard);
        return pid.has_value();
      },
      kLongest));
  return StopFor(*pid, kMoment);
}

absl::Status Disturber::Do(Action action) {
  // Not only right after a step has been seen.
  absl::SleepFor(absl::Milliseconds(random_() % 40));
  switch (action) {
    case Action::kKillWorker:
      return KillAtOnce({}, 1);
    case Action::kKillServer:
      return KillAtOnce({ShardButZero()}, 0);
    case Action::kKillCoordinator:
      return KillAtOnce({0}, 0);
    case Action::kKillServerAndWorker:
      return KillAtOnce({AnyShard()}, 1);
    case Action::kKillTwoServers:
      return KillAtOnce({0, ShardButZero()}, 0);
    case Action::kKillAllWorkers:
      return KillAllWorkers();
    case Action::kKillServerAgain:
      return KillServerAgain();
    case Action::kStopWorkerPastLease:
      return StopWorkerPastLease();
    case Action::kSlowWorker:
      return SlowWorker();
    case Action::kStopServer:
      return StopServer();
    case Action::kCutConnections:
      if (!guest_->IsRunning()) guest_->Start();
      guest_->CutConnections(random_);
      return absl::OkStatus();
  }
  return absl::OkStatus();
}

absl::Status Disturber::AwaitEnd(absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  while (!run_.HasEnded()) {
    Look();
    if (absl::Now() > deadline) {
      return absl::DeadlineExceededError(
          absl::StrCat("the run does not end; ", Where()));
    }
    absl::SleepFor(kLookInterval);
  }
  return absl::OkStatus();
}

}  // namespace tessera
