#include "tests/simulation/recovery/recovery_simulation.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/simulation/recovery/cluster.h"
#include "tests/simulation/recovery/reference.h"
#include "tests/simulation/recovery/server_process.h"
#include "tests/simulation/recovery/worker_process.h"

namespace tessera {
namespace {

constexpr int64_t kSecondUs = 1'000'000;
constexpr int64_t kFaultsUntilUs = 8 * kSecondUs;
// Far more than any job needs once faults have ceased.
constexpr int64_t kDeadlineUs = kFaultsUntilUs + 300 * kSecondUs;

class RecoverySimulation {
 public:
  explicit RecoverySimulation(const RecoveryOptions& options)
      : job_(MakeRecoveryJob(options.seed)),
        cluster_(job_, static_cast<int>(1 + options.seed % 3), options.seed,
                 options.keep_trace),
        workers_(static_cast<size_t>(random().Between(1, 3))),
        mean_gap_us_(random().LogBetween(0.03 * kSecondUs, 2 * kSecondUs)),
        microbatch_us_(
            static_cast<int64_t>(random().LogBetween(2'000, 60'000))) {}

  RecoveryResult Run();

 private:
  Random& random() { return cluster_.random; }
  int shards() const { return cluster_.plan.shard_count(); }
  bool faulty() const { return cluster_.queue.now_us() < kFaultsUntilUs; }
  int AnyShard() {
    return static_cast<int>(random().Next() % static_cast<uint64_t>(shards()));
  }
  Place AnyPlace();

  void StartServer(int shard);
  void StartServerSoon(int shard);
  void StartWorker(size_t number);
  void FaultSoon();
  void Fault();
  void KillServer();
  void ReplaceServer();
  void KillWorker();
  void StallSomeone();
  void CutSomeone();
  void FailDisk();
  void FillDisk();
  void CrashMachine();
  void CheckMachine();
  void JumpClock();
  void CeaseFaults();
  bool IsOver();
  void CheckEnd(RecoveryResult& result);
  Coordinator* coordinator() {
    const auto server = cluster_.ServerOf(0);
    return server == nullptr ? nullptr : server->coordinator();
  }

  const Job job_;
  Cluster cluster_;
  std::vector<std::shared_ptr<WorkerProcess>> workers_;
  // So that what is under way finds those whom it was sent by.
  std::vector<std::shared_ptr<Process>> graves_;
  const double mean_gap_us_;
  const int64_t microbatch_us_;
  std::map<std::string, int64_t> faults_;
};

Place RecoverySimulation::AnyPlace() {
  const auto count = static_cast<uint64_t>(shards()) + workers_.size();
  const auto i = static_cast<int>(random().Next() % count);
  return i < shards() ? i : kFirstWorker + i - shards();
}

void RecoverySimulation::StartServer(int shard) {
  const auto index = static_cast<size_t>(shard);
  if (cluster_.servers[index] != nullptr || cluster_.disk.is_down()) return;
  auto server =
      std::make_shared<ServerProcess>(cluster_, shard, [this, shard, index] {
        // Unless another has the place already.
        if (cluster_.servers[index] == nullptr ||
            cluster_.servers[index]->alive) {
          return;
        }
        cluster_.servers[index] = nullptr;
        StartServerSoon(shard);
      });
  graves_.push_back(server);
  cluster_.servers[index] = server;
  cluster_.Note(shard, "starts");
  const absl::Status started = server->Start();
  if (!started.ok()) server->Die();
}

void RecoverySimulation::StartServerSoon(int shard) {
  // As the launcher does, which notices at once or has pauses.
  cluster_.queue.After(random().Between(1000, kSecondUs),
                       [this, shard] { StartServer(shard); });
}

void RecoverySimulation::StartWorker(size_t number) {
  auto worker = std::make_shared<WorkerProcess>(
      cluster_, static_cast<int>(number),
      static_cast<int64_t>(static_cast<double>(microbatch_us_) *
                           random().LogBetween(0.5, 4)));
  graves_.push_back(worker);
  workers_[number] = worker;
  cluster_.Note(worker->place, "starts");
  worker->Start();
}

void RecoverySimulation::FaultSoon() {
  const auto gap = static_cast<int64_t>(mean_gap_us_ * 2 * random().Unit()) + 1;
  if (cluster_.queue.now_us() + gap >= kFaultsUntilUs) return;
  cluster_.queue.After(gap, [this] {
    Fault();
    FaultSoon();
  });
}

void RecoverySimulation::Fault() {
  switch (random().Between(0, 11)) {
    case 0:
    case 1:
    case 2:
      return KillServer();
    case 3:
      return ReplaceServer();
    case 4:
    case 5:
      return KillWorker();
    case 6:
      return StallSomeone();
    case 7:
      return CutSomeone();
    case 8:
      return FailDisk();
    case 9:
      return FillDisk();
    case 10:
      return CrashMachine();
    default:
      return JumpClock();
  }
}

void RecoverySimulation::KillServer() {
  const auto server = cluster_.ServerOf(AnyShard());
  if (server == nullptr) return;
  if (random().Chance(0.5)) {
    ++faults_["server killed"];
    return server->Die();
  }
  ++faults_["server killed while it uses the disk"];
  server->DieAtDiskOperation(random().Between(1, 40));
}

void RecoverySimulation::ReplaceServer() {
  const int shard = AnyShard();
  const auto server = cluster_.ServerOf(shard);
  if (server == nullptr) return;
  ++faults_["server replaced while it stalls"];
  // It comes back from the dead some time.
  server->stalled_until_us =
      cluster_.queue.now_us() + random().Between(1000, 3 * kSecondUs);
  cluster_.servers[static_cast<size_t>(shard)] = nullptr;
  StartServerSoon(shard);
}

void RecoverySimulation::KillWorker() {
  const size_t number = random().Next() % workers_.size();
  if (workers_[number] == nullptr || !workers_[number]->alive ||
      workers_[number]->knows_of_the_end()) {
    return;
  }
  ++faults_["worker killed"];
  cluster_.Note(workers_[number]->place, "dies");
  workers_[number]->Die();
  cluster_.queue.After(random().Between(1000, 2 * kSecondUs),
                       [this, number] { StartWorker(number); });
}

void RecoverySimulation::StallSomeone() {
  const auto& process = graves_[random().Next() % graves_.size()];
  if (!process->alive) return;
  ++faults_["process stalled"];
  process->stalled_until_us =
      cluster_.queue.now_us() + random().Between(1000, 3 * kSecondUs);
}

void RecoverySimulation::CutSomeone() {
  const Place a = AnyPlace();
  const Place b = AnyShard();
  if (a == b) return;
  ++faults_["network cut"];
  cluster_.wire.Cut(a, b);
  if (random().Chance(0.5)) {
    cluster_.wire.Cut(b, a);
  } else {
    ++faults_["network cut in one direction"];
  }
  cluster_.queue.After(random().Between(1000, 2 * kSecondUs),
                       [this] { cluster_.wire.Heal(); });
}

void RecoverySimulation::FailDisk() {
  ++faults_["disk operation failed"];
  cluster_.disk.FailNth(std::nullopt, random().Between(1, 30),
                        absl::UnknownError("I/O error"));
}

void RecoverySimulation::FillDisk() {
  ++faults_["disk full"];
  cluster_.disk.set_capacity_bytes(random().Between(0, 4000));
  cluster_.queue.After(random().Between(1000, kSecondUs), [this] {
    cluster_.disk.set_capacity_bytes(std::numeric_limits<int64_t>::max());
  });
}

void RecoverySimulation::CrashMachine() {
  ++faults_["machine crashed"];
  cluster_.disk.CrashAtOperation(random().Between(1, 30));
}

// The disk went down: every server with it.
void RecoverySimulation::CheckMachine() {
  if (!cluster_.disk.is_down()) return;
  cluster_.Note(-1, "the machine is down");
  for (const auto& process : graves_) {
    auto* server = dynamic_cast<ServerProcess*>(process.get());
    if (server != nullptr) server->Die();
  }
  cluster_.disk.Restart();
  cluster_.CheckAcknowledged();
}

void RecoverySimulation::JumpClock() {
  ++faults_["clock jumped"];
  const int64_t ms = random().Between(-5000, 5000);
  cluster_.clock_offset += absl::Milliseconds(ms);
}

void RecoverySimulation::CeaseFaults() {
  cluster_.Note(-1, "faults cease");
  cluster_.wire.SetConditions({});
  cluster_.wire.Heal();
  cluster_.disk.set_capacity_bytes(std::numeric_limits<int64_t>::max());
  // Those to come, too.
  cluster_.disk.CrashAtOperation(1);
  (void)cluster_.disk.List("/");
  CheckMachine();
}

bool RecoverySimulation::IsOver() {
  Coordinator* const c = coordinator();
  if (c == nullptr || !c->ended() || c->generation() == 0 || faulty()) {
    return false;
  }
  const v1::CheckpointStatus checkpoint =
      c->Status(cluster_.Now()).checkpoint();
  return checkpoint.pending_version() < 0 &&
         checkpoint.newest_version() == cluster_.reference.last_version();
}

void RecoverySimulation::CheckEnd(RecoveryResult& result) {
  result.status = coordinator()->Status(cluster_.Now());
  const std::string difference = cluster_.reference.DifferenceOf(result.status);
  if (!difference.empty()) cluster_.Complain(difference);
  const int64_t last = cluster_.reference.last_version();
  for (int block = 0; block < cluster_.plan.block_count(); ++block) {
    const auto server = cluster_.ServerOf(cluster_.plan.ShardOfBlock(block));
    if (server == nullptr) return cluster_.Complain("a server is missing");
    absl::StatusOr<int64_t> version = absl::UnknownError("no answer");
    server->Pull(block, ShardStore::kNewest, 0,
                 [&version](auto answer) { version = answer; });
    if (!version.ok() || *version != last) {
      cluster_.Complain(absl::StrCat("block ", block, ": ",
                                     version.ok()
                                         ? absl::StrCat("version ", *version)
                                         : version.status().ToString(),
                                     ", not version ", last));
    }
  }
  // Everything goes that is not on the disk.
  cluster_.disk.CrashAtOperation(1);
  (void)cluster_.disk.List("/");
  cluster_.disk.Restart();
  cluster_.CheckAcknowledged();
  cluster_.CheckHasSetOf(last);
}

RecoveryResult RecoverySimulation::Run() {
  const bool lossy = random().Chance(0.5);
  cluster_.wire.SetConditions(
      {.delay_us_max = static_cast<int64_t>(random().LogBetween(100, 2e4)),
       .loss = lossy ? random().LogBetween(0.001, 0.1) : 0,
       .doubled = lossy ? 0.05 : 0});
  for (int shard = 0; shard < shards(); ++shard) StartServer(shard);
  for (size_t i = 0; i < workers_.size(); ++i) StartWorker(i);
  FaultSoon();
  cluster_.queue.After(kFaultsUntilUs, [this] { CeaseFaults(); });

  RecoveryResult result;
  while (cluster_.complaint.empty() && !IsOver()) {
    cluster_.queue.RunOne();
    ++result.events;
    CheckMachine();
    // Workers come back for a job that has gone back behind its end.
    for (size_t i = 0; i < workers_.size(); ++i) {
      if (!workers_[i]->knows_of_the_end() || coordinator() == nullptr ||
          coordinator()->ended()) {
        continue;
      }
      workers_[i]->Die();
      StartWorker(i);
    }
    if (cluster_.queue.now_us() > kDeadlineUs) {
      Coordinator* const c = coordinator();
      cluster_.Complain(absl::StrCat(
          "the job hangs: ",
          c == nullptr ? "no coordinator"
                       : c->Status(cluster_.Now()).ShortDebugString()));
    }
  }
  if (cluster_.complaint.empty()) CheckEnd(result);
  result.complaint = cluster_.complaint;
  result.trace = cluster_.trace.text();
  result.trace_hash = cluster_.trace.hash();
  result.faults = faults_;
  result.generations = static_cast<int64_t>(cluster_.generations.size());
  result.checkpoints = cluster_.checkpoints;
  result.failed_checkpoints = cluster_.failed_checkpoints;
  result.restores = cluster_.restores;
  for (const auto& process : graves_) process->alive = false;
  return result;
}

}  // namespace

RecoveryResult SimulateRecovery(const RecoveryOptions& options) {
  return RecoverySimulation(options).Run();
}

}  // namespace tessera
