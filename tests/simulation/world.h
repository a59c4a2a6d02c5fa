// What simulated workers live in: servers, network, time, chance, and someone
// who checks that the rules are kept.

#ifndef TESSERA_TESTS_SIMULATION_WORLD_H_
#define TESSERA_TESTS_SIMULATION_WORLD_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/job/job.h"
#include "common/plan/shard_plan.h"
#include "server/coordinator/coordinator.h"
#include "tests/simulation/event_queue.h"
#include "tests/simulation/network.h"
#include "tests/simulation/random.h"
#include "tests/simulation/shard_model.h"
#include "tests/simulation/trace.h"

namespace tessera {

// The score that a chunk has at a version of which the blocks hold `contents`.
ChunkScore ScoreOf(const Job& job, int64_t version, int chunk,
                   const std::vector<uint64_t>& contents);

// The mean loss that shard 0 reports for a step.
double StepLoss(int64_t step);

// Not thread-safe.
class World {
 public:
  World(const Job& job, const ShardPlan& plan, absl::Duration lease,
        uint64_t seed, bool keep_trace);

  // Writes down what happened. `who` is a worker's number, or -1.
  template <typename... Numbers>
  void Note(int who, absl::string_view what, Numbers... numbers) {
    trace.Add(queue.now_us(), who, what, numbers...);
  }

  // A rule was broken; only the first counts.
  void Complain(const std::string& what);

  // The coordinator's calls, as a server's handler makes them: GetWork waits a
  // while for work to appear. What is granted is checked.
  void GetWork(int who, WorkerId id, const WorkReport& report, int64_t wait_us,
               std::function<void(absl::StatusOr<Grant>)> answer);
  absl::Status Report(int who, WorkerId id, const EvaluateGrant& work,
                      const std::vector<ChunkScore>& scores);

  const Job& job;
  const ShardPlan plan;
  const absl::Duration lease;

  Trace trace;
  EventQueue queue;
  Random random;
  Network network;
  std::unique_ptr<Coordinator> coordinator;
  ShardModel shards;

  const std::string& complaint() const { return complaint_; }

 private:
  void CheckGrant(const Grant& grant);
  void CheckTrainGrant(const TrainGrant& grant);
  void CheckEvaluateGrant(const EvaluateGrant& grant);
  bool IsScored(int64_t version) const;

  std::string complaint_;
  int64_t news_us_ = 0;  // When shard 0's newest news arrives.
  // Chunks that the coordinator took scores of, by version.
  std::map<int64_t, std::set<int>> scored_;
};

}  // namespace tessera

#endif  // TESSERA_TESTS_SIMULATION_WORLD_H_
