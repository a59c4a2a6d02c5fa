// What a worker does, as events of its timeline.

#ifndef TESSERA_WORKER_TRAIN_PASS_TRACE_H_
#define TESSERA_WORKER_TRAIN_PASS_TRACE_H_

#include <cstdint>
#include <map>

#include "common/job/job.h"
#include "common/plan/reduction_tree.h"
#include "common/plan/shard_plan.h"
#include "common/trace/trace.h"
#include "worker/model/network.h"

namespace tessera {

// Does nothing when it is given no tracer. Not thread-safe: for the thread that
// computes.
class PassTrace {
 public:
  // `tracer` (which may be null) must outlive the object; the others need not.
  PassTrace(Tracer* tracer, const Job& job, const ShardPlan& plan);

  // Records the layers' parts of a pass at version `step`.
  void RecordLayers(int64_t step, PassHooks& hooks);

  // For a scope. The range is that of the work at hand.
  TraceSpan Span(const char* name, int64_t step,
                 const MicrobatchRange& range) const;
  // Waiting for the parameters of the layer that these are.
  TraceSpan Wait(int64_t step, const Interval& elements) const;
  // Handing a block's gradient over to the client.
  TraceSpan Push(int64_t step, const MicrobatchRange& range, int block) const;

 private:
  Tracer* const tracer_;
  const ShardPlan plan_;
  const int64_t bytes_per_value_;
  std::map<int64_t, const char*> layers_;  // By first element.
  int64_t layer_begin_ns_ = 0;
};

}  // namespace tessera

#endif  // TESSERA_WORKER_TRAIN_PASS_TRACE_H_
