// The clock of timelines.
//
// It reads CLOCK_MONOTONIC, which never jumps and is the same for all processes
// of a machine. On paper its times are moved to the Unix epoch by an offset
// that each process takes once. The kernel keeps that offset as a constant
// between settings of the wall clock, so processes of one machine agree to some
// tens of nanoseconds; processes of several machines agree as well as their
// wall clocks do.

#ifndef TESSERA_COMMON_TRACE_TRACE_CLOCK_H_
#define TESSERA_COMMON_TRACE_TRACE_CLOCK_H_

#include <time.h>

#include <cstdint>
#include <limits>

namespace tessera {

inline int64_t ReadClockNs(clockid_t clock) {
  timespec time;
  clock_gettime(clock, &time);
  return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

// Nanoseconds since some time before the process began.
inline int64_t TraceClockNs() { return ReadClockNs(CLOCK_MONOTONIC); }

// What to add to TraceClockNs for nanoseconds since the Unix epoch.
inline int64_t EpochOffsetNs() {
  int64_t offset = 0;
  int64_t shortest = std::numeric_limits<int64_t>::max();
  // The wall clock is read between two readings of the other; whoever is
  // interrupted least knows best.
  for (int i = 0; i < 20; ++i) {
    const int64_t before = TraceClockNs();
    const int64_t epoch = ReadClockNs(CLOCK_REALTIME);
    const int64_t after = TraceClockNs();
    if (after - before >= shortest) continue;
    shortest = after - before;
    offset = epoch - (before + shortest / 2);
  }
  return offset;
}

}  // namespace tessera

#endif  // TESSERA_COMMON_TRACE_TRACE_CLOCK_H_
