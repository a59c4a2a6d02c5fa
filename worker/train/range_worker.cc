#include "worker/train/range_worker.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "absl/time/clock.h"
#include "common/base/check.h"
#include "common/base/status_macros.h"

namespace tessera {
namespace {

absl::Duration SinceStart(absl::Time start) { return absl::Now() - start; }

}  // namespace

RangeWorker::RangeWorker(const Job& job, const ShardPlan& plan,
                         const DataSet& data, std::unique_ptr<Network> network,
                         BlockBoard& board, GradientPool& pool,
                         ParameterClient& client, Tracer* tracer)
    : job_(job),
      plan_(plan),
      data_(data),
      network_(std::move(network)),
      board_(board),
      pool_(pool),
      client_(client),
      trace_(tracer, job, plan),
      sampler_(job) {}

absl::Status RangeWorker::Fetch(int64_t version) {
  for (int block = 0; block < plan_.block_count(); ++block) {
    TESSERA_ASSIGN_OR_RETURN(bool fetch, board_.Begin(block, version));
    if (!fetch) continue;
    client_.Pull(block, version, board_.BlockValues(block, version),
                 [this, block, version](absl::Status status) {
                   if (status.ok()) {
                     board_.Arrived(block, version);
                   } else {
                     board_.Failed(block, version, status);
                   }
                 });
  }
  return absl::OkStatus();
}

PassHooks RangeWorker::WaitingHooks(int64_t version) {
  PassHooks hooks;
  hooks.need = [this, version](int64_t begin, int64_t end) {
    const TraceSpan span = trace_.Wait(version, {begin, end});
    const absl::Time start = absl::Now();
    absl::Status status = board_.WaitFor({begin, end}, version);
    times_.waiting += SinceStart(start);
    return status;
  };
  hooks.final_from = [](int64_t) { return absl::OkStatus(); };
  trace_.RecordLayers(version, hooks);
  return hooks;
}

Batch RangeWorker::MakeBatch(int64_t samples) {
  const auto count = static_cast<size_t>(samples);
  const v1::SampleShape& shape = job_.proto().data_set().sample_shape();
  const auto sample_size = static_cast<size_t>(shape.height()) *
                           static_cast<size_t>(shape.width()) *
                           static_cast<size_t>(shape.channels());
  inputs_.resize(count * sample_size);
  Batch batch{.inputs = absl::MakeSpan(inputs_)};
  if (job_.proto().data_set().classes() > 0) {
    labels_.resize(count);
    batch.labels = absl::MakeSpan(labels_);
  } else {
    targets_.resize(count * static_cast<size_t>(job_.model().outputs));
    batch.targets = absl::MakeSpan(targets_);
  }
  return batch;
}

absl::StatusOr<double> RangeWorker::TrainMicrobatch(int64_t step,
                                                    int microbatch,
                                                    absl::Span<float> gradient,
                                                    const PassHooks& hooks) {
  const MicrobatchRange range{microbatch, microbatch + 1};
  const TraceSpan span = trace_.Span("microbatch", step, range);
  const Batch batch = MakeBatch(job_.microbatch_size());
  {
    const TraceSpan reading = trace_.Span("read samples", step, range);
    data_.Gather(Split::kTrain, sampler_.Microbatch(step, microbatch), batch);
  }
  return network_->Train(board_.Values(step), batch, step,
                         int64_t{microbatch} * job_.microbatch_size(), gradient,
                         hooks);
}

absl::Status RangeWorker::Train(int64_t step, const MicrobatchRange& range) {
  const TraceSpan span = trace_.Span("train", step, range);
  const absl::Time start = absl::Now();
  const absl::Duration waited_before = times_.waiting;
  board_.StartPass(step);
  TESSERA_RETURN_IF_ERROR(Fetch(step));
  // What is pushed as one: where gradients are rounded for the wire, never a
  // sum, or results would depend on how ranges were handed out.
  const int size = job_.pushes_single_microbatches() ? 1 : range.size();
  for (int begin = range.begin; begin < range.end; begin += size) {
    TESSERA_RETURN_IF_ERROR(TrainAndPush(step, {begin, begin + size}));
  }
  times_.compute += SinceStart(start) - (times_.waiting - waited_before);
  times_.microbatches += range.size();
  return absl::OkStatus();
}

absl::Status RangeWorker::TrainAndPush(int64_t step,
                                       const MicrobatchRange& range) {
  TreeAccumulator sum;
  for (int m = range.begin; m + 1 < range.end; ++m) {
    TreeAccumulator::Gradient gradient = pool_.Acquire();
    TESSERA_ASSIGN_OR_RETURN(double loss,
                             TrainMicrobatch(step, m, absl::MakeSpan(*gradient),
                                             WaitingHooks(step)));
    const TraceSpan adding = trace_.Span("sum", step, {range.begin, m + 1});
    sum.Add(std::move(gradient), loss);
  }
  return TrainLast(step, range, sum);
}

absl::Status RangeWorker::TrainLast(int64_t step, const MicrobatchRange& range,
                                    const TreeAccumulator& earlier) {
  const TreeAccumulator::Gradient gradient = pool_.Acquire();
  const absl::Span<float> values = absl::MakeSpan(*gradient);
  int64_t final_from = plan_.elements();
  int next_block = plan_.block_count() - 1;
  PassHooks hooks = WaitingHooks(step);
  hooks.final_from = [&](int64_t begin) -> absl::Status {
    {
      const TraceSpan span = trace_.Span("sum", step, range);
      earlier.FoldLast({begin, final_from}, values);
    }
    final_from = begin;
    // Block 0 waits for the loss, which it carries.
    while (next_block > 0 && plan_.BlockElements(next_block).begin >= begin) {
      TESSERA_RETURN_IF_ERROR(Push(step, range, next_block, 0, gradient));
      --next_block;
    }
    return absl::OkStatus();
  };
  TESSERA_ASSIGN_OR_RETURN(double loss,
                           TrainMicrobatch(step, range.end - 1, values, hooks));
  TESSERA_CHECK(final_from == 0 && next_block == 0);
  return Push(step, range, 0, earlier.FoldLastLoss(loss), gradient);
}

absl::Status RangeWorker::Push(int64_t step, const MicrobatchRange& range,
                               int block, double loss_sum,
                               const TreeAccumulator::Gradient& gradient) {
  const TraceSpan span = trace_.Push(step, range, block);
  const Interval elements = plan_.BlockElements(block);
  const BlockGradient push{.block = block,
                           .step = step,
                           .range = range,
                           .loss_sum = loss_sum,
                           .values = absl::MakeConstSpan(*gradient).subspan(
                               static_cast<size_t>(elements.begin),
                               static_cast<size_t>(elements.size()))};
  const int64_t next = step + 1;
  // A second range of the same step: the first one's answer brings the block.
  TESSERA_ASSIGN_OR_RETURN(bool wanted, board_.Begin(block, next));
  const absl::Span<float> to =
      wanted ? board_.BlockValues(block, next) : absl::Span<float>();
  // The callback holds the gradient's memory until the call ends.
  client_.PushPull(push, to,
                   [this, block, next, wanted, gradient](absl::Status status) {
                     if (!status.ok()) {
                       board_.Failed(block, next, status);
                     } else if (wanted) {
                       board_.Arrived(block, next);
                     }
                   });
  return absl::OkStatus();
}

absl::StatusOr<EvaluationScore> RangeWorker::Evaluate(int64_t version,
                                                      int chunk) {
  const TraceSpan span = trace_.Span("evaluate", version, {-1, -1});
  board_.StartPass(version);
  TESSERA_RETURN_IF_ERROR(Fetch(version));
  const int64_t begin = int64_t{chunk} * job_.chunk_examples();
  const int64_t end =
      std::min(begin + job_.chunk_examples(), data_.size(Split::kTest));
  indices_.resize(static_cast<size_t>(end - begin));
  std::iota(indices_.begin(), indices_.end(), begin);
  const Batch batch = MakeBatch(end - begin);
  data_.Gather(Split::kTest, indices_, batch);
  return network_->Evaluate(board_.Values(version), batch,
                            WaitingHooks(version));
}

}  // namespace tessera
