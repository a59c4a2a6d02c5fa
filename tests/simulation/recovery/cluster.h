// What all simulated processes of a run share, and the rules that are checked.

#ifndef TESSERA_TESTS_SIMULATION_RECOVERY_CLUSTER_H_
#define TESSERA_TESTS_SIMULATION_RECOVERY_CLUSTER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "common/device/device.h"
#include "common/job/job.h"
#include "common/plan/shard_plan.h"
#include "server/checkpoint/format.h"
#include "server/checkpoint/reader.h"
#include "server/shard/shard_store.h"
#include "tests/simulation/event_queue.h"
#include "tests/simulation/random.h"
#include "tests/simulation/recovery/kept_sets.h"
#include "tests/simulation/recovery/reference.h"
#include "tests/simulation/recovery/wire.h"
#include "tests/simulation/trace.h"
#include "tests/support/faulty_storage.h"

namespace tessera {

class ServerProcess;

inline constexpr char kCheckpointRoot[] = "/checkpoints";
inline constexpr absl::Duration kSimulatedLease = absl::Seconds(1);

// Not thread-safe.
struct Cluster {
  Cluster(const Job& job, int shard_count, uint64_t seed, bool keep_trace);
  ~Cluster();

  template <typename... Numbers>
  void Note(Place who, absl::string_view what, Numbers... numbers) {
    trace.Add(queue.now_us(), who, what, numbers...);
  }
  // A rule was broken; only the first counts.
  void Complain(const std::string& what);
  void ComplainIf(const std::string& what) {
    if (!what.empty()) Complain(what);
  }

  // Lets everybody go on for so long, from within something that `process`
  // does: writes a file, say. Returns early when it dies.
  void Pass(const Process& process, int64_t us);

  // The process that holds the shard now; null when there is none.
  std::shared_ptr<ServerProcess> ServerOf(int shard) const;

  // Compares a block with the reference, bit by bit.
  void CheckBlock(const BlockVersion& block);
  // That all shards start a generation from the same set.
  void CheckStart(int64_t generation, int64_t version, uint64_t set_id);
  // That every set which was acknowledged, and which retention has to keep, is
  // whole and the reference's.
  void CheckKeptSets();
  // That there is a set of this version, and that it is the reference's.
  void CheckHasSetOf(int64_t version);

  // The coordinator's machine's clock, which may jump.
  absl::Time Now() const { return queue.now() + clock_offset; }
  uint64_t Draw() { return random.Next() | 1; }

  const Job& job;
  const ShardPlan plan;
  const Reference reference;
  // Before the queue, whose events hold processes that use them.
  FaultyStorage disk;
  const std::unique_ptr<Device> device;
  EventQueue queue;
  Random random;
  Trace trace;
  Wire wire;
  absl::Duration clock_offset;
  // That others go on before an operation on the disk.
  double disk_pause_chance = 0;
  // Runs the next event. Set before anything is begun.
  std::function<void()> step;

  std::vector<std::shared_ptr<ServerProcess>> servers;  // By shard.
  KeptSets kept;
  std::string complaint;

  // How much the run was worth.
  std::set<int64_t> generations;
  int64_t checkpoints = 0;
  int64_t failed_checkpoints = 0;
  int64_t restores = 0;

 private:
  absl::Status CheckSet(const CheckpointReader& set) const;

  // By generation: version and set.
  std::map<int64_t, std::pair<int64_t, uint64_t>> starts_;
};

}  // namespace tessera

#endif  // TESSERA_TESTS_SIMULATION_RECOVERY_CLUSTER_H_
