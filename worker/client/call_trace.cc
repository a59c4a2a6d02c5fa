#include "worker/client/call_trace.h"

#include <algorithm>

namespace tessera {

void CallTrace::Taken(TraceArgs args) {
  if (tracer_ == nullptr) return;
  // A pull is no contribution's answer.
  if (args.range_begin >= 0) args.flow = TraceFlow::kEnds;
  tracer_->Record(TraceCategory::kPull, "take", answered_ns_, Now(), args);
}

void CallTrace::Record(uint64_t track, TraceCategory category,
                       const TraceArgs& args) const {
  if (tracer_ == nullptr || sending_ns_ == 0 || answered_ns_ == 0) return;
  const int64_t sending = sending_ns_;
  const int64_t answered = std::max<int64_t>(answered_ns_, sending);
  // A pull has nothing to let go of; and gRPC may be slower to let go than the
  // server is to answer.
  const int64_t released = std::clamp<int64_t>(released_ns_, sending, answered);
  tracer_->RecordOnTrack(track, category, "queue", begun_ns_, sending, args);
  tracer_->RecordOnTrack(track, category, "send", sending, released, args);
  tracer_->RecordOnTrack(track, category, "await", released, answered, args);
}

}  // namespace tessera
