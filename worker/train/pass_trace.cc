#include "worker/train/pass_trace.h"

#include <cstddef>
#include <string>

#include "common/wire/encoding.h"

namespace tessera {
namespace {

const char* NameOf(PassPart part) {
  switch (part) {
    case PassPart::kForward:
      return "forward";
    case PassPart::kBackward:
      return "backward";
    case PassPart::kLoss:
      return "loss";
  }
  return "";
}

}  // namespace

PassTrace::PassTrace(Tracer* tracer, const Job& job, const ShardPlan& plan)
    : tracer_(tracer),
      plan_(plan),
      bytes_per_value_(
          static_cast<int64_t>(BytesPerValue(job.push_encoding()))) {
  if (tracer_ == nullptr) return;
  for (const LayerPlan& layer : job.model().layers) {
    if (layer.weight < 0) continue;
    const auto weight = static_cast<size_t>(layer.weight);
    layers_[job.layout().tensors()[weight].offset] =
        tracer_->Intern(layer.name);
  }
}

void PassTrace::RecordLayers(int64_t step, PassHooks& hooks) {
  if (tracer_ == nullptr) return;
  hooks.begins = [this](PassPart, const std::string&) {
    layer_begin_ns_ = TraceClockNs();
  };
  hooks.ends = [this, step](PassPart part, const std::string& layer) {
    TraceArgs args{.step = step};
    if (part != PassPart::kLoss) args.layer = tracer_->Intern(layer);
    tracer_->Record(TraceCategory::kCompute, NameOf(part), layer_begin_ns_,
                    TraceClockNs(), args);
  };
}

TraceSpan PassTrace::Span(const char* name, int64_t step,
                          const MicrobatchRange& range) const {
  return {tracer_,
          TraceCategory::kCompute,
          name,
          {.step = step, .range_begin = range.begin, .range_end = range.end}};
}

TraceSpan PassTrace::Wait(int64_t step, const Interval& elements) const {
  if (tracer_ == nullptr) return TraceSpan(nullptr, TraceCategory::kWait, "");
  const auto layer = layers_.find(elements.begin);
  return {tracer_,
          TraceCategory::kWait,
          "wait for",
          {.step = step,
           .block = plan_.BlockOfElement(elements.begin),
           .block_end = plan_.BlockOfElement(elements.end - 1) + 1,
           .layer = layer == layers_.end() ? nullptr : layer->second}};
}

TraceSpan PassTrace::Push(int64_t step, const MicrobatchRange& range,
                          int block) const {
  const int64_t elements = plan_.BlockElements(block).size();
  return {tracer_,
          TraceCategory::kPush,
          "push",
          {.step = step,
           .block = block,
           .range_begin = range.begin,
           .range_end = range.end,
           .bytes = elements * bytes_per_value_,
           .flow = TraceFlow::kBegins}};
}

}  // namespace tessera
