// What becomes of one call, as events of a worker's timeline.
//
//   queue      from the caller to the turn on the stream
//   send       until gRPC has let go of the gradient: the kernel has it
//   await      until the answer is there
//   take       copying it to where it is wanted

#ifndef TESSERA_WORKER_CLIENT_CALL_TRACE_H_
#define TESSERA_WORKER_CLIENT_CALL_TRACE_H_

#include <atomic>
#include <cstdint>

#include "common/trace/trace.h"

namespace tessera {

// Of a call's last attempt. Does nothing without a tracer. Thread-safe, but for
// Record, which comes after everything else.
class CallTrace {
 public:
  // The call begins. `tracer`, which may be null, must outlive the object.
  explicit CallTrace(Tracer* tracer) : tracer_(tracer), begun_ns_(Now()) {}

  void Sending() { Note(sending_ns_); }
  void Released() { Note(released_ns_); }
  void Answered() { Note(answered_ns_); }
  // On the thread that called Answered. The arrow to the answer ends here.
  void Taken(TraceArgs args);

  // Puts the call on its track.
  void Record(uint64_t track, TraceCategory category,
              const TraceArgs& args) const;

 private:
  int64_t Now() const { return tracer_ == nullptr ? 0 : TraceClockNs(); }
  void Note(std::atomic<int64_t>& time) const { time = Now(); }

  Tracer* const tracer_;
  const int64_t begun_ns_;
  std::atomic<int64_t> sending_ns_ = 0;
  std::atomic<int64_t> released_ns_ = 0;
  std::atomic<int64_t> answered_ns_ = 0;
};

}  // namespace tessera

#endif  // TESSERA_WORKER_CLIENT_CALL_TRACE_H_
