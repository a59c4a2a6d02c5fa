// A server process: a real shard store, a real agent's plan and, on shard 0, a
// real coordinator; the rules of server/service/ without its threads.

#ifndef TESSERA_TESTS_SIMULATION_RECOVERY_SERVER_PROCESS_H_
#define TESSERA_TESTS_SIMULATION_RECOVERY_SERVER_PROCESS_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "server/checkpoint/format.h"
#include "server/coordinator/coordinator.h"
#include "server/service/agent_plan.h"
#include "server/shard/shard_store.h"
#include "tests/simulation/recovery/cluster.h"
#include "tests/simulation/recovery/mortal_storage.h"
#include "tests/simulation/recovery/push_ledger.h"
#include "tests/simulation/recovery/wire.h"

namespace tessera {

struct WorkReply {
  Grant grant;
  int64_t generation = 0;
};

// Not thread-safe. Runs in the cluster's queue.
class ServerProcess : public Process,
                      public std::enable_shared_from_this<ServerProcess> {
 public:
  template <typename Reply>
  using Done = std::function<void(absl::StatusOr<Reply>)>;

  // `on_death` is called when it dies by itself, or where it was told to.
  ServerProcess(Cluster& cluster, int shard, std::function<void()> on_death);
  ~ServerProcess() override;

  // Codes: those of reading the disk; the process is of no use then.
  absl::Status Start();
  // kill -9.
  void Die();
  // Dies before the n-th operation on the disk from now on.
  void DieAtDiskOperation(int64_t n);

  int shard() const { return place; }
  // Null on other shards than 0.
  Coordinator* coordinator() { return coordinator_.get(); }
  ShardStore& store() { return *store_; }

  // Calls of workers and other servers.
  void Attend(const v1::AttendRequest& request, Done<v1::AttendResponse> done);
  void Join(Done<WorkerId> done);
  void GetWork(WorkerId worker, const WorkReport& report, Done<WorkReply> done);
  void Renew(WorkerId worker, int64_t generation, Done<bool> done);
  void Report(WorkerId worker, int64_t generation, const EvaluateGrant& work,
              Done<bool> done);
  // Answers with the version after the step.
  void PushPull(const Contribution& contribution,
                absl::Span<const float> gradient, Done<BlockVersion> done);
  void Pull(int block, int64_t version, int64_t generation,
            Done<BlockVersion> done);

 private:
  absl::Status StartCoordinator();
  void TickSoon();
  // Others may go on meanwhile.
  void BeforeDiskOperation();
  // That the store's generation does not go back.
  void CheckGeneration();
  // Runs a coordinator's call, and sees to what it brought about.
  template <typename Reply>
  void Coordinate(const Done<Reply>& done,
                  std::function<absl::StatusOr<Reply>(Coordinator&)> call);
  // That nobody who was replaced gets orders, nor orders of an old generation.
  void CheckOrders(const v1::AttendRequest& request,
                   const v1::AttendResponse& orders);
  void NoteGrant(const Grant& grant);
  void WriteManifestSoon();
  void WriteManifests();
  void Write(v1::CheckpointManifest manifest);

  void AttendSoon(int64_t delay_us);
  void SendAttendance();
  void Orders(const absl::StatusOr<v1::AttendResponse>& orders);
  void Act();
  void Do(const NothingToDo&) {}
  void Do(const SuspendOrder&);
  void Do(const RestoreOrder& order);
  void Do(const CaptureOrder& order);
  void Do(const DropCaptureOrder&);
  void FinishRestore(const RestoreOrder& order);
  absl::Status RestoreFrom(const RestoreOrder& order);
  void WriteFile(const CaptureOrder& order,
                 const std::shared_ptr<ShardSnapshot>& snapshot);
  ShardHeader HeaderOf(const CaptureOrder& order) const;

  std::shared_ptr<ServerProcess> Self() { return shared_from_this(); }

  Cluster& cluster_;
  const std::function<void()> on_death_;
  const uint64_t incarnation_;
  MortalStorage storage_;
  AgentPlan plan_;
  std::unique_ptr<ShardStore> store_;
  std::unique_ptr<Coordinator> coordinator_;
  // Under way: an attendance, a restore, a shard's file, a manifest.
  bool calling_ = false;
  bool is_restoring_ = false;
  bool is_writing_ = false;
  bool is_keeping_ = false;
  std::deque<v1::CheckpointManifest> manifests_;  // To be written.

  // What it has done, for checks.
  PushLedger ledger_;
  int64_t newest_generation_ = 0;
  // As its coordinator.
  std::map<int, uint64_t> attending_;  // Incarnations, by shard.
  std::set<uint64_t> replaced_;
  int64_t newest_ordered_ = 0;
};

}  // namespace tessera

#endif  // TESSERA_TESTS_SIMULATION_RECOVERY_SERVER_PROCESS_H_
