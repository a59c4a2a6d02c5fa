// One thing that took time, as it is recorded.

#ifndef TESSERA_COMMON_TRACE_TRACE_EVENT_H_
#define TESSERA_COMMON_TRACE_TRACE_EVENT_H_

#include <cstdint>

namespace tessera {

// What kind of work it is; viewers colour and search by it.
enum class TraceCategory : uint8_t {
  kCompute,  // A worker's passes and sums.
  kWait,     // A worker's pass that cannot go on.
  kPush,     // A gradient on its way up.
  kPull,     // A version on its way down.
  kShard,    // A server's sums, updates and answers.
  kControl,  // Leases, and the course of a run.
};

// The way of one contribution through the processes, drawn as arrows: from its
// push over its addition on the server to the answer's arrival. All events with
// the same (step, block, range) belong together.
enum class TraceFlow : uint8_t { kNone, kBegins, kPasses, kEnds };

// What an event is about; whatever is left as it is here is not said.
struct TraceArgs {
  int64_t step = -1;
  // Blocks [block, block_end), or one block when block_end is not set.
  int32_t block = -1;
  int32_t block_end = -1;
  // Microbatches [range_begin, range_end).
  int32_t range_begin = -1;
  int32_t range_end = -1;
  // Of payload.
  int64_t bytes = -1;
  // Who sent it.
  uint64_t worker = 0;
  // Must live as long as the tracer: see Tracer::Intern.
  const char* layer = nullptr;
  TraceFlow flow = TraceFlow::kNone;
};

struct TraceEvent {
  static constexpr uint64_t kNoTrack = 0;

  // A literal, or from Tracer::Intern.
  const char* name = nullptr;
  TraceCategory category = TraceCategory::kControl;
  // Of TraceClock.
  int64_t begin_ns = 0;
  int64_t end_ns = 0;
  int32_t thread = 0;
  // Events that are not one thread's, but follow one another on a track of
  // their own, say one call's.
  uint64_t track = kNoTrack;
  TraceArgs args;
};

}  // namespace tessera

#endif  // TESSERA_COMMON_TRACE_TRACE_EVENT_H_
