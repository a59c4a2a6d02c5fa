#include "common/trace/trace_json.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"

namespace tessera {
namespace {

const char* NameOf(TraceCategory category) {
  switch (category) {
    case TraceCategory::kCompute:
      return "compute";
    case TraceCategory::kWait:
      return "wait";
    case TraceCategory::kPush:
      return "push";
    case TraceCategory::kPull:
      return "pull";
    case TraceCategory::kShard:
      return "shard";
    case TraceCategory::kControl:
      return "control";
  }
  return "";
}

// The same number in every process, and exact in a double.
uint64_t FlowId(const TraceArgs& args) {
  uint64_t id = 0;
  for (const int64_t part :
       {args.step, int64_t{args.block}, int64_t{args.range_begin},
        int64_t{args.range_end}}) {
    // Fibonacci hashing: 2^64 over the golden ratio.
    id = (id ^ static_cast<uint64_t>(part)) * 0x9E3779B97F4A7C15;
    id ^= id >> 29;
  }
  return id >> 11;
}

}  // namespace

std::string JsonString(absl::string_view text) {
  using Json = nlohmann::json;
  return Json(std::string(text))
      .dump(-1, ' ', false, Json::error_handler_t::replace);
}

const std::string& TraceFormatter::Escaped(const char* text) {
  std::string& escaped = escaped_[text];
  if (escaped.empty()) {
    escaped = JsonString(text);
    escaped = escaped.substr(1, escaped.size() - 2);
  }
  return escaped;
}

void TraceFormatter::BeginLine(std::string& out) {
  absl::StrAppend(&out, first_ ? "" : ",\n", "{\"pid\":", pid_);
  first_ = false;
}

void TraceFormatter::ProcessName(const TraceProcess& process, int sort_index,
                                 std::string& out) {
  BeginLine(out);
  absl::StrAppend(&out, R"(,"ph":"M","name":"process_name","args":{"name":)",
                  JsonString(process.name), "}}");
  BeginLine(out);
  absl::StrAppend(
      &out, R"(,"ph":"M","name":"process_sort_index","args":{"sort_index":)",
      sort_index, "}}");
  if (process.dropped == 0) return;
  BeginLine(out);
  absl::StrAppend(&out, R"(,"ph":"M","name":"process_labels","args":{)",
                  R"("labels":")", process.dropped, R"( later events lost"}})");
}

void TraceFormatter::ThreadName(int thread, absl::string_view name,
                                std::string& out) {
  BeginLine(out);
  absl::StrAppend(&out, ",\"tid\":", thread,
                  R"(,"ph":"M","name":"thread_name","args":{"name":)",
                  JsonString(name), "}}");
}

void TraceFormatter::Head(const TraceEvent& event, char phase,
                          std::string& out) {
  BeginLine(out);
  absl::StrAppend(&out, ",\"tid\":", event.thread, ",\"ph\":\"",
                  absl::string_view(&phase, 1), "\",\"cat\":\"",
                  NameOf(event.category), "\",\"name\":\"",
                  Escaped(event.name));
  const TraceArgs& args = event.args;
  if (args.layer != nullptr) {
    absl::StrAppend(&out, " ", Escaped(args.layer));
  } else if (args.block >= 0) {
    absl::StrAppend(&out, " block ", args.block);
  }
  out += '"';
}

void TraceFormatter::Args(const TraceArgs& args, std::string& out) {
  const char* separator = "";
  const auto add = [&](const char* key, const auto& value) {
    absl::StrAppend(&out, separator, "\"", key, "\":", value);
    separator = ",";
  };
  const auto interval = [](int64_t begin, int64_t end) {
    return absl::StrCat("[", begin, ",", end, "]");
  };
  out += ",\"args\":{";
  if (args.step >= 0) add("step", args.step);
  if (args.block_end >= 0) {
    add("blocks", interval(args.block, args.block_end));
  } else if (args.block >= 0) {
    add("block", args.block);
  }
  if (args.range_begin >= 0) {
    add("range", interval(args.range_begin, args.range_end));
  }
  if (args.bytes >= 0) add("bytes", args.bytes);
  if (args.worker != 0) add("worker", args.worker);
  if (args.layer != nullptr) {
    add("layer", absl::StrCat("\"", Escaped(args.layer), "\""));
  }
  out += '}';
}

void TraceFormatter::Flow(const TraceEvent& event, std::string& out) {
  if (event.args.flow == TraceFlow::kNone) return;
  const char* phase = event.args.flow == TraceFlow::kBegins   ? "s"
                      : event.args.flow == TraceFlow::kPasses ? "t"
                                                              : "f";
  BeginLine(out);
  // bp "e": bound to the event that it lies in, rather than to the next one.
  absl::StrAppend(&out, ",\"tid\":", event.thread, ",\"ph\":\"", phase,
                  R"(","bp":"e","cat":"flow","name":"contribution","id":)",
                  FlowId(event.args), ",\"ts\":", Micros(event.begin_ns), "}");
}

void TraceFormatter::Event(const TraceEvent& event, std::string& out) {
  const int64_t begin = Micros(event.begin_ns);
  const int64_t end = Micros(event.end_ns);
  if (event.track == TraceEvent::kNoTrack) {
    Head(event, 'X', out);
    absl::StrAppend(&out, ",\"ts\":", begin, ",\"dur\":", end - begin);
    Args(event.args, out);
    out += '}';
    Flow(event, out);
    return;
  }
  for (const char phase : {'b', 'e'}) {
    Head(event, phase, out);
    absl::StrAppend(&out, ",\"id2\":{\"local\":\"", event.track, "\"}",
                    ",\"ts\":", phase == 'b' ? begin : end);
    if (phase == 'b') Args(event.args, out);
    out += '}';
  }
}

}  // namespace tessera
