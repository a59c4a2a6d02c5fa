// Drives a channel: whole steps over all blocks, so many calls in flight.
//
// Calls are started in one order, the same on all workers: step by step, in
// each step block by block. A block's next step starts when its last is back.
// As every worker starts calls in this order, the earliest call that is not
// complete is never kept waiting by later ones, so nothing can hang.

#ifndef TESSERA_WORKER_BENCH_PIPELINE_H_
#define TESSERA_WORKER_BENCH_PIPELINE_H_

#include <cstdint>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/base/mutex.h"
#include "common/plan/shard_plan.h"
#include "worker/bench/block_channel.h"
#include "worker/bench/closed_form.h"
#include "worker/bench/point.h"
#include "worker/bench/step_board.h"

namespace tessera::bench {

// A worker's memory and where its blocks stand.
struct WorkerState {
  int worker = 0;
  const ShardPlan* plan = nullptr;
  absl::Span<const float> gradient;  // Of the whole vector.
  absl::Span<float> values;          // As pulled; likewise.
  std::vector<int64_t> versions;     // Of each block.
  StepBoard* board = nullptr;
};

struct PipelineOptions {
  Operation operation = Operation::kPushPull;
  int64_t steps = 1;
  std::vector<int> blocks;  // Which, in this order.
  int in_flight = 1;
  bool keep_latencies = false;
  // Compares some or, read in place, all values of each answer, while the clock
  // runs; nothing without it. `origin` is the version with all values 0.
  ClosedForm* closed_form = nullptr;
  int64_t origin = 0;
  // Every value of an answer is read and compared, not one.
  bool check_all = false;
};

struct PipelineResult {
  int64_t begin_ns = 0;  // CLOCK_MONOTONIC.
  int64_t end_ns = 0;
  int64_t calls = 0;
  int64_t values_checked = 0;
  std::vector<int64_t> latencies_ns;  // Of each call, as they ended.
};

// Runs it to the end, on this thread and the channel's, and moves
// `state.versions` on. Codes: those of the channel and of ClosedForm::Check,
// naming the block; DEADLINE_EXCEEDED when another worker stands still. After
// an error calls may still be under way, and use everything given: end the
// process.
absl::StatusOr<PipelineResult> RunPipeline(const PipelineOptions& options,
                                           BlockChannel& channel,
                                           WorkerState& state);

}  // namespace tessera::bench

#endif  // TESSERA_WORKER_BENCH_PIPELINE_H_
