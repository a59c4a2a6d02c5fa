// The two kinds of leased work, done: a range of microbatches, and a run of
// evaluation chunks.

#ifndef TESSERA_WORKER_TRAIN_RANGE_WORKER_H_
#define TESSERA_WORKER_TRAIN_RANGE_WORKER_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/job/job.h"
#include "common/plan/reduction_tree.h"
#include "common/plan/shard_plan.h"
#include "common/trace/trace.h"
#include "worker/client/parameter_client.h"
#include "worker/data/dataset.h"
#include "worker/data/sampler.h"
#include "worker/model/network.h"
#include "worker/train/block_board.h"
#include "worker/train/gradient_pool.h"
#include "worker/train/pass_trace.h"
#include "worker/train/tree_accumulator.h"

namespace tessera {

// Where a worker's time went.
struct TrainTimes {
  absl::Duration compute;  // Passes, without waits.
  absl::Duration waiting;  // For blocks, inside passes.
  int64_t microbatches = 0;
};

// Not thread-safe: one pass at a time. Answers to its pushes arrive on the
// client's threads.
class RangeWorker {
 public:
  // All but `network` are borrowed and must outlive the object, and `client`
  // must have ended its calls before it goes. `tracer` may be null.
  RangeWorker(const Job& job, const ShardPlan& plan, const DataSet& data,
              std::unique_ptr<Network> network, BlockBoard& board,
              GradientPool& pool, ParameterClient& client,
              Tracer* tracer = nullptr);

  // Computes the range's gradient at version `step` and pushes each block as
  // soon as it is final, asking for version step + 1. Returns when all pushes
  // are under way. Codes: those of the board's waits.
  absl::Status Train(int64_t step, const MicrobatchRange& range);

  // Scores one chunk of the test set at a version. Codes: as Train.
  absl::StatusOr<EvaluationScore> Evaluate(int64_t version, int chunk);

  const TrainTimes& times() const { return times_; }

 private:
  // Asks for blocks of `version` that are neither here nor under way.
  absl::Status Fetch(int64_t version);
  // Hooks that wait for blocks at `version`, adding up the time.
  PassHooks WaitingHooks(int64_t version);
  absl::StatusOr<double> TrainMicrobatch(int64_t step, int microbatch,
                                         absl::Span<float> gradient,
                                         const PassHooks& hooks);
  // A range that is pushed as one, from its first microbatch to its last.
  absl::Status TrainAndPush(int64_t step, const MicrobatchRange& range);
  // The range's last microbatch, whose gradient leaves block by block.
  absl::Status TrainLast(int64_t step, const MicrobatchRange& range,
                         const TreeAccumulator& earlier);
  absl::Status Push(int64_t step, const MicrobatchRange& range, int block,
                    double loss_sum, const TreeAccumulator::Gradient& gradient);
  // Room for `samples` samples of the job's data.
  Batch MakeBatch(int64_t samples);

  const Job& job_;
  const ShardPlan plan_;
  const DataSet& data_;
  const std::unique_ptr<Network> network_;
  BlockBoard& board_;
  GradientPool& pool_;
  ParameterClient& client_;
  PassTrace trace_;

  Sampler sampler_;
  std::vector<float> inputs_;
  std::vector<int32_t> labels_;
  std::vector<float> targets_;
  std::vector<int64_t> indices_;
  TrainTimes times_;
};

}  // namespace tessera

#endif  // TESSERA_WORKER_TRAIN_RANGE_WORKER_H_
