// Records where a process's time goes, for a timeline that people look at.
//
// Whoever is to record is handed a Tracer*, which is null when nobody wants to
// know: a branch is then all that it costs.
//
//   void Serve(Tracer* tracer) {
//     const TraceSpan span(tracer, TraceCategory::kShard, "add",
//                          {.step = 7, .block = 3});
//     ...
//   }
//
// Memory is bounded and taken at the start; events that come when it is full
// are counted, and the file says how many.

#ifndef TESSERA_COMMON_TRACE_TRACE_H_
#define TESSERA_COMMON_TRACE_TRACE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/base/mutex.h"
#include "common/trace/trace_clock.h"
#include "common/trace/trace_event.h"
#include "common/trace/trace_json.h"

namespace tessera {

struct TracerOptions {
  // Of the process, in the timeline: "worker 1".
  std::string process_name;
  // Places processes; lower ones come first.
  int sort_index = 0;
  // About 110 bytes each, touched at the start, so that no page fault is
  // recorded as somebody's work.
  size_t max_events = size_t{1} << 20;
};

// Thread-safe. Recording takes no lock.
class Tracer {
 public:
  explicit Tracer(TracerOptions options);
  Tracer(const Tracer&) = delete;
  Tracer& operator=(const Tracer&) = delete;

  // Something that this thread did from `begin_ns` to `end_ns`, times of
  // TraceClockNs. What one thread did is nested or disjoint.
  void Record(TraceCategory category, const char* name, int64_t begin_ns,
              int64_t end_ns, const TraceArgs& args = {}) {
    Add({.name = name,
         .category = category,
         .begin_ns = begin_ns,
         .end_ns = end_ns,
         .args = args});
  }

  // Something that is no thread's work, on the track with this number (not 0),
  // where nothing else was going on meanwhile.
  void RecordOnTrack(uint64_t track, TraceCategory category, const char* name,
                     int64_t begin_ns, int64_t end_ns,
                     const TraceArgs& args = {}) {
    Add({.name = name,
         .category = category,
         .begin_ns = begin_ns,
         .end_ns = end_ns,
         .track = track,
         .args = args});
  }

  // A copy of `text` that lives as long as the tracer; the same one each time.
  const char* Intern(absl::string_view text);

  // Names the calling thread. Others are named after what they do first.
  void NameThread(absl::string_view name);

  // Events that were recorded, and those for which there was no room.
  int64_t recorded() const;
  int64_t dropped() const;

  // Replaces the file by all that was recorded so far, in the order in which it
  // ended. Codes: as AtomicFile's.
  absl::Status Write(const std::string& path) const;

 private:
  struct Slot {
    TraceEvent event;
    std::atomic<bool> ready = false;
  };

  void Add(TraceEvent event);
  TraceProcess Describe() const;
  // Names of all threads that recorded something.
  std::map<int, std::string> ThreadNames() const;

  const TracerOptions options_;
  const int64_t epoch_offset_ns_;
  const std::unique_ptr<Slot[]> slots_;
  std::atomic<size_t> next_ = 0;

  mutable Mutex mutex_;
  // Whose elements stay where they are.
  std::set<std::string, std::less<>> texts_ ABSL_GUARDED_BY(mutex_);
  std::map<int, std::string> thread_names_ ABSL_GUARDED_BY(mutex_);
};

// Records its own lifetime; nothing when `tracer` is null. For one thread.
class TraceSpan {
 public:
  // `name` and args.layer as in TraceEvent.
  TraceSpan(Tracer* tracer, TraceCategory category, const char* name,
            const TraceArgs& args = {})
      : tracer_(tracer) {
    if (tracer_ == nullptr) return;
    category_ = category;
    name_ = name;
    args_ = args;
    begin_ns_ = TraceClockNs();
  }
  ~TraceSpan() {
    if (tracer_ == nullptr) return;
    tracer_->Record(category_, name_, begin_ns_, TraceClockNs(), args_);
  }
  TraceSpan(const TraceSpan&) = delete;
  TraceSpan& operator=(const TraceSpan&) = delete;

  // For what is known at the end only.
  void Rename(const char* name) { name_ = name; }

 private:
  Tracer* const tracer_;
  TraceCategory category_;
  const char* name_;
  TraceArgs args_;
  int64_t begin_ns_;
};

}  // namespace tessera

#endif  // TESSERA_COMMON_TRACE_TRACE_H_
