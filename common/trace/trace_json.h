// Timelines in Chrome's Trace Event Format ("JSON Object Format"), which
// ui.perfetto.dev and chrome://tracing open.
//
//   {"displayTimeUnit":"ms","otherData":{...},"traceEvents":[
//   {"pid":7,...},
//   {"pid":7,...}
//   ]}
//
// The first line says all about the file that is not an event; then comes one
// event a line, so that files can be put together without parsing them.

#ifndef TESSERA_COMMON_TRACE_TRACE_JSON_H_
#define TESSERA_COMMON_TRACE_TRACE_JSON_H_

#include <cstdint>
#include <map>
#include <string>

#include "absl/strings/string_view.h"
#include "common/trace/trace_event.h"

namespace tessera {

// What is said of one process in the first line.
struct TraceProcess {
  std::string name;  // "worker 1"
  int pid = 0;
  int64_t events = 0;
  // Events that found the buffer full.
  int64_t dropped = 0;
};

// A JSON string, quotes included; bytes that are no UTF-8 are replaced.
std::string JsonString(absl::string_view text);

// Writes one process's events. Not thread-safe.
class TraceFormatter {
 public:
  // Times become (ns + epoch_offset_ns) / 1000, rounded down: microseconds
  // since the Unix epoch. Rounding down keeps events nested that are.
  TraceFormatter(int pid, int64_t epoch_offset_ns)
      : pid_(pid), epoch_offset_ns_(epoch_offset_ns) {}

  // Each appends lines to `out`, all but the file's first one with a comma and
  // a line break before.
  void ProcessName(const TraceProcess& process, int sort_index,
                   std::string& out);
  void ThreadName(int thread, absl::string_view name, std::string& out);
  // On a thread: one "X" (complete) event and what its flow adds. On a track:
  // one "b" and one "e" event.
  void Event(const TraceEvent& event, std::string& out);

 private:
  int64_t Micros(int64_t ns) const { return (ns + epoch_offset_ns_) / 1000; }
  const std::string& Escaped(const char* text);
  void BeginLine(std::string& out);
  // Name, category, phase and thread, without the closing brace.
  void Head(const TraceEvent& event, char phase, std::string& out);
  void Args(const TraceArgs& args, std::string& out);
  void Flow(const TraceEvent& event, std::string& out);

  const int pid_;
  const int64_t epoch_offset_ns_;
  std::map<const char*, std::string> escaped_;
  bool first_ = true;
};

}  // namespace tessera

#endif  // TESSERA_COMMON_TRACE_TRACE_JSON_H_
