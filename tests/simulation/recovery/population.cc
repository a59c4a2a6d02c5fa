#include "tests/simulation/recovery/population.h"

namespace tessera {
namespace {

constexpr int64_t kServerPauseUs = 1'000'000;
constexpr int64_t kWorkerPauseUs = 2'000'000;

}  // namespace

Population::Population(Cluster& cluster, size_t workers, int64_t microbatch_us)
    : cluster_(cluster), microbatch_us_(microbatch_us), workers_(workers) {
  cluster_.step = [this] { Step(); };
}

Population::~Population() {
  for (const auto& process : processes_) process->alive = false;
}

void Population::StartAll() {
  for (int shard = 0; shard < shards(); ++shard) StartServerSoon(shard);
  for (size_t i = 0; i < workers_.size(); ++i) StartWorker(i);
}

Coordinator* Population::coordinator() const {
  const auto server = cluster_.ServerOf(0);
  return server == nullptr ? nullptr : server->coordinator();
}

void Population::Step() {
  // Within an event: the process that crashed it went on to its next operation.
  if (cluster_.disk.is_down()) return RestartDisk();
  cluster_.queue.RunOne();
  ++events_;
  if (cluster_.disk.is_down()) RestartDisk();
}

void Population::RestartDisk() {
  cluster_.Note(-1, "the machine is down");
  for (size_t i = 0; i < processes_.size(); ++i) {
    auto* server = dynamic_cast<ServerProcess*>(processes_[i].get());
    if (server != nullptr) server->Die();
  }
  cluster_.disk.Restart();
  cluster_.CheckKeptSets();
}

void Population::StartServer(int shard) {
  const auto index = static_cast<size_t>(shard);
  if (cluster_.servers[index] != nullptr) return;
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
  processes_.push_back(server);
  cluster_.servers[index] = server;
  cluster_.Note(shard, "starts");
  const absl::Status started = server->Start();
  if (!started.ok()) server->Die();
}

void Population::StartServerSoon(int shard) {
  // As the launcher does, which notices at once or has pauses.
  cluster_.queue.After(cluster_.random.Between(1000, kServerPauseUs),
                       [this, shard] { StartServer(shard); });
}

void Population::StartWorker(size_t number) {
  auto worker = std::make_shared<WorkerProcess>(
      cluster_, static_cast<int>(number),
      static_cast<int64_t>(static_cast<double>(microbatch_us_) *
                           cluster_.random.LogBetween(0.5, 4)));
  processes_.push_back(worker);
  workers_[number] = worker;
  cluster_.Note(worker->place, "starts");
  worker->Start();
}

void Population::StartWorkersAgain() {
  if (coordinator() == nullptr || coordinator()->ended()) return;
  for (size_t i = 0; i < workers_.size(); ++i) {
    if (!workers_[i]->knows_of_the_end()) continue;
    workers_[i]->Die();
    StartWorker(i);
  }
}

bool Population::KillServer(int shard) {
  const auto server = cluster_.ServerOf(shard);
  if (server == nullptr) return false;
  server->Die();
  return true;
}

bool Population::KillServerAtDiskOperation(int shard, int64_t n) {
  const auto server = cluster_.ServerOf(shard);
  if (server == nullptr) return false;
  server->DieAtDiskOperation(n);
  return true;
}

bool Population::ReplaceServer(int shard, int64_t stall_us) {
  const auto server = cluster_.ServerOf(shard);
  if (server == nullptr) return false;
  // It comes back from the dead some time.
  cluster_.Note(shard, "stalls, and is replaced", stall_us);
  server->stalled_until_us = cluster_.queue.now_us() + stall_us;
  cluster_.servers[static_cast<size_t>(shard)] = nullptr;
  StartServerSoon(shard);
  return true;
}

bool Population::KillWorker(size_t number) {
  if (workers_[number] == nullptr || !workers_[number]->alive ||
      workers_[number]->knows_of_the_end()) {
    return false;
  }
  cluster_.Note(workers_[number]->place, "dies");
  workers_[number]->Die();
  cluster_.queue.After(cluster_.random.Between(1000, kWorkerPauseUs),
                       [this, number] { StartWorker(number); });
  return true;
}

bool Population::StallSomeone(int64_t stall_us) {
  const auto& process = processes_[cluster_.random.Next() % processes_.size()];
  if (!process->alive) return false;
  cluster_.Note(process->place, "stalls", stall_us);
  process->stalled_until_us = cluster_.queue.now_us() + stall_us;
  return true;
}

void Population::KillEverybody() {
  cluster_.Note(-1, "everybody dies");
  for (size_t i = 0; i < workers_.size(); ++i) KillWorker(i);
  for (size_t i = 0; i < processes_.size(); ++i) {
    auto* server = dynamic_cast<ServerProcess*>(processes_[i].get());
    if (server != nullptr) server->Die();
  }
  cluster_.CheckKeptSets();
}

}  // namespace tessera
