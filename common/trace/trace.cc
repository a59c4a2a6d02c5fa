#include "common/trace/trace.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/status_macros.h"
#include "common/trace/trace_file.h"

namespace tessera {
namespace {

int ThreadId() {
  static thread_local const int id = gettid();
  return id;
}

// For a thread that nobody named.
const char* NameByWork(TraceCategory first) {
  switch (first) {
    case TraceCategory::kPush:
    case TraceCategory::kPull:
      return "client";
    case TraceCategory::kShard:
      return "serving";
    default:
      return "thread";
  }
}

}  // namespace

Tracer::Tracer(TracerOptions options)
    : options_(std::move(options)),
      epoch_offset_ns_(EpochOffsetNs()),
      slots_(std::make_unique<Slot[]>(options_.max_events)) {}

void Tracer::Add(TraceEvent event) {
  const size_t at = next_.fetch_add(1, std::memory_order_relaxed);
  if (at >= options_.max_events) return;
  event.thread = ThreadId();
  slots_[at].event = event;
  slots_[at].ready.store(true, std::memory_order_release);
}

const char* Tracer::Intern(absl::string_view text) {
  MutexLock lock(&mutex_);
  auto found = texts_.find(text);
  if (found == texts_.end()) found = texts_.emplace(text).first;
  return found->c_str();
}

void Tracer::NameThread(absl::string_view name) {
  MutexLock lock(&mutex_);
  thread_names_[ThreadId()] = std::string(name);
}

int64_t Tracer::recorded() const {
  return static_cast<int64_t>(std::min(next_.load(), options_.max_events));
}

int64_t Tracer::dropped() const {
  const size_t next = next_;
  return static_cast<int64_t>(next - std::min(next, options_.max_events));
}

TraceProcess Tracer::Describe() const {
  return {.name = options_.process_name,
          .pid = getpid(),
          .events = recorded(),
          .dropped = dropped()};
}

std::map<int, std::string> Tracer::ThreadNames() const {
  std::map<int, std::string> names;
  const int64_t count = recorded();
  for (int64_t i = 0; i < count; ++i) {
    if (!slots_[i].ready.load(std::memory_order_acquire)) continue;
    const TraceEvent& event = slots_[i].event;
    if (event.track != TraceEvent::kNoTrack) continue;
    names.try_emplace(event.thread, NameByWork(event.category));
  }
  MutexLock lock(&mutex_);
  for (auto& [thread, name] : names) {
    const auto given = thread_names_.find(thread);
    if (given != thread_names_.end()) name = given->second;
  }
  return names;
}

absl::Status Tracer::Write(const std::string& path) const {
  const TraceProcess process = Describe();
  TESSERA_ASSIGN_OR_RETURN(const std::unique_ptr<TraceFile> file,
                           TraceFile::Create(path, {.processes = {process}}));
  TraceFormatter format(process.pid, epoch_offset_ns_);
  std::string lines;
  format.ProcessName(process, options_.sort_index, lines);
  for (const auto& [thread, name] : ThreadNames()) {
    format.ThreadName(thread, name, lines);
  }
  for (int64_t i = 0; i < process.events; ++i) {
    // One that is being recorded right now is as good as too late.
    if (!slots_[i].ready.load(std::memory_order_acquire)) continue;
    format.Event(slots_[i].event, lines);
    TESSERA_RETURN_IF_ERROR(file->AppendWhenLarge(lines));
  }
  return file->Finish(lines);
}

}  // namespace tessera
