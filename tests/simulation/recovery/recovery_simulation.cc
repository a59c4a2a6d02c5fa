#include "tests/simulation/recovery/recovery_simulation.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/simulation/recovery/cluster.h"
#include "tests/simulation/recovery/faults.h"
#include "tests/simulation/recovery/operator.h"
#include "tests/simulation/recovery/population.h"

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
        population_(
            cluster_, static_cast<size_t>(cluster_.random.Between(1, 3)),
            static_cast<int64_t>(cluster_.random.LogBetween(2'000, 60'000))),
        faults_(cluster_, population_),
        operator_(cluster_) {}

  RecoveryResult Run();

 private:
  bool IsOver() const;
  void CheckHang();
  void CheckEnd();
  void CheckBlocks();
  RecoveryResult Result() const;
  std::string Trace() const;
  Coordinator* coordinator() const { return population_.coordinator(); }

  const Job job_;
  Cluster cluster_;
  Population population_;
  Faults faults_;
  Operator operator_;
};

bool RecoverySimulation::IsOver() const {
  Coordinator* const c = coordinator();
  if (c == nullptr || !c->ended() || c->generation() == 0 ||
      cluster_.queue.now_us() < kFaultsUntilUs) {
    return false;
  }
  const v1::CheckpointStatus checkpoint =
      c->Status(cluster_.Now()).checkpoint();
  return checkpoint.pending_version() < 0 &&
         checkpoint.newest_version() == cluster_.reference.last_version();
}

void RecoverySimulation::CheckHang() {
  if (cluster_.queue.now_us() <= kDeadlineUs) return;
  Coordinator* const c = coordinator();
  cluster_.Complain(absl::StrCat(
      "the job hangs: ", c == nullptr
                             ? "no coordinator"
                             : c->Status(cluster_.Now()).ShortDebugString()));
}

void RecoverySimulation::CheckBlocks() {
  const int64_t last = cluster_.reference.last_version();
  for (int block = 0; block < cluster_.plan.block_count(); ++block) {
    const auto server = cluster_.ServerOf(cluster_.plan.ShardOfBlock(block));
    if (server == nullptr) return cluster_.Complain("a server is missing");
    absl::StatusOr<BlockVersion> newest = absl::UnknownError("no answer");
    server->Pull(block, ShardStore::kNewest, 0,
                 [&newest](auto answer) { newest = std::move(answer); });
    if (newest.ok() && newest->version == last) continue;
    cluster_.Complain(
        absl::StrCat("block ", block, ": ",
                     newest.ok() ? absl::StrCat("version ", newest->version)
                                 : newest.status().ToString(),
                     ", not version ", last));
  }
}

void RecoverySimulation::CheckEnd() {
  cluster_.ComplainIf(
      cluster_.reference.DifferenceOf(coordinator()->Status(cluster_.Now())));
  operator_.CheckAnswers();
  CheckBlocks();
  // Everything goes that is not on the disk.
  cluster_.disk.CrashAtOperation(1);
  (void)cluster_.disk.List("/");
  cluster_.disk.Restart();
  cluster_.CheckKeptSets();
  cluster_.CheckHasSetOf(cluster_.reference.last_version());
}

RecoveryResult RecoverySimulation::Run() {
  population_.StartAll();
  faults_.Begin(kFaultsUntilUs);
  operator_.Begin();
  while (cluster_.complaint.empty() && !IsOver()) {
    population_.Step();
    population_.StartWorkersAgain();
    CheckHang();
  }
  RecoveryResult result = Result();
  if (cluster_.complaint.empty()) {
    result.status = coordinator()->Status(cluster_.Now());
    CheckEnd();
  }
  result.complaint = cluster_.complaint;
  result.trace = Trace();
  result.trace_hash = cluster_.trace.hash();
  return result;
}

// What happened; and, where it went wrong, what was done to the disk last.
std::string RecoverySimulation::Trace() const {
  constexpr size_t kOperations = 100;
  std::string text = cluster_.trace.text();
  if (text.empty() || cluster_.complaint.empty()) return text;
  const std::vector<std::string>& operations = cluster_.disk.trace();
  absl::StrAppend(&text, "the last operations on the disk:\n");
  const size_t first =
      operations.size() - std::min(kOperations, operations.size());
  for (size_t i = first; i < operations.size(); ++i) {
    absl::StrAppend(&text, "  ", operations[i], "\n");
  }
  return text;
}

RecoveryResult RecoverySimulation::Result() const {
  return {.events = population_.events(),
          .faults = faults_.Counts(),
          .generations = static_cast<int64_t>(cluster_.generations.size()),
          .checkpoints = cluster_.checkpoints,
          .failed_checkpoints = cluster_.failed_checkpoints,
          .restores = cluster_.restores,
          .asked = operator_.answers(),
          .recovery_us =
              std::max<int64_t>(0, cluster_.queue.now_us() - kFaultsUntilUs)};
}

}  // namespace

RecoveryResult SimulateRecovery(const RecoveryOptions& options) {
  return RecoverySimulation(options).Run();
}

}  // namespace tessera
