#include "common/trace/trace.h"

#include <catch2/catch.hpp>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "common/base/file.h"
#include "common/trace/trace_output.h"
#include "tests/support/command.h"
#include "tests/support/status.h"

namespace tessera {
namespace {

using Json = nlohmann::json;

Json WriteAndParse(const Tracer& tracer) {
  const std::string path = NewScratchFolder() + "/trace.json";
  REQUIRE_OK(tracer.Write(path));
  const auto text = ReadFile(path);
  REQUIRE_OK(text);
  return Json::parse(*text);
}

// Events of this phase ("X", "M", ...), in file order.
std::vector<Json> EventsOf(const Json& trace, const std::string& phase) {
  std::vector<Json> events;
  for (const Json& event : trace["traceEvents"]) {
    if (event["ph"] == phase) events.push_back(event);
  }
  return events;
}

TEST_CASE("a span records its own lifetime") {
  Tracer tracer({.process_name = "p", .max_events = 10});
  const int64_t before = TraceClockNs();
  {
    const TraceSpan outer(&tracer, TraceCategory::kCompute, "outer");
    TraceSpan inner(&tracer, TraceCategory::kShard, "add", {.step = 4});
    inner.Rename("apply");
  }
  const int64_t after = TraceClockNs();
  const auto spans = EventsOf(WriteAndParse(tracer), "X");
  REQUIRE(spans.size() == 2);
  // In the order in which they ended.
  REQUIRE(spans[0]["name"] == "apply");
  REQUIRE(spans[0]["args"]["step"] == 4);
  REQUIRE(spans[1]["name"] == "outer");
  REQUIRE(spans[1]["ts"] <= spans[0]["ts"]);
  REQUIRE(spans[1]["dur"].get<int64_t>() <= (after - before) / 1000 + 1);
}

TEST_CASE("times are the wall clock's") {
  Tracer tracer({.process_name = "p", .max_events = 1});
  const int64_t before = ReadClockNs(CLOCK_REALTIME) / 1000;
  { const TraceSpan span(&tracer, TraceCategory::kCompute, "x"); }
  const int64_t after = ReadClockNs(CLOCK_REALTIME) / 1000;
  const int64_t ts = EventsOf(WriteAndParse(tracer), "X").front()["ts"];
  // A microsecond for rounding.
  REQUIRE(ts >= before - 1);
  REQUIRE(ts <= after + 1);
}

TEST_CASE("two processes of a machine put the same moment at the same time") {
  // As two of them would: each takes the offset for itself.
  const int64_t first = EpochOffsetNs();
  for (int i = 0; i < 100; ++i) {
    REQUIRE(std::abs(EpochOffsetNs() - first) < 20'000);
  }
}

TEST_CASE("nothing is recorded without a tracer") {
  TraceSpan span(nullptr, TraceCategory::kCompute, "x", {.step = 1});
  span.Rename("y");
}

TEST_CASE("what finds the buffer full is counted, and the file says so") {
  Tracer tracer({.process_name = "p", .max_events = 3});
  for (int i = 0; i < 8; ++i) {
    tracer.Record(TraceCategory::kCompute, "x", i, i + 1, {.step = i});
  }
  REQUIRE(tracer.recorded() == 3);
  REQUIRE(tracer.dropped() == 5);
  const Json trace = WriteAndParse(tracer);
  REQUIRE(EventsOf(trace, "X").size() == 3);
  REQUIRE(EventsOf(trace, "X").back()["args"]["step"] == 2);
  const Json& process = trace["otherData"]["processes"][0];
  REQUIRE(process["events"] == 3);
  REQUIRE(process["dropped"] == 5);
  const auto metadata = EventsOf(trace, "M");
  REQUIRE(std::any_of(metadata.begin(), metadata.end(), [](const Json& m) {
    return m["name"] == "process_labels";
  }));
}

TEST_CASE("a file without events is a timeline too") {
  const Tracer tracer({.process_name = "idle", .max_events = 1});
  const Json trace = WriteAndParse(tracer);
  REQUIRE(trace["traceEvents"][0]["args"]["name"] == "idle");
  REQUIRE(trace["otherData"]["processes"][0]["events"] == 0);
}

TEST_CASE("a text is interned once and outlives what it was made of") {
  Tracer tracer({.max_events = 1});
  std::string text = "conv1";
  const char* const first = tracer.Intern(text);
  text = "other";
  REQUIRE(std::string(first) == "conv1");
  REQUIRE(tracer.Intern("conv1") == first);
  REQUIRE(tracer.Intern(text) != first);
}

TEST_CASE("threads are told apart and have names") {
  Tracer tracer({.process_name = "p", .max_events = 100});
  std::thread named([&] {
    tracer.NameThread("training");
    tracer.Record(TraceCategory::kCompute, "x", 0, 1);
  });
  named.join();
  std::thread unnamed([&] { tracer.Record(TraceCategory::kShard, "x", 0, 1); });
  unnamed.join();
  const Json trace = WriteAndParse(tracer);
  std::map<int, std::string> names;
  for (const Json& event : EventsOf(trace, "M")) {
    if (event["name"] == "thread_name") {
      names[event["tid"]] = event["args"]["name"];
    }
  }
  const auto spans = EventsOf(trace, "X");
  REQUIRE(names.size() == 2);
  REQUIRE(names[spans[0]["tid"]] == "training");
  REQUIRE(names[spans[1]["tid"]] == "serving");
}

TEST_CASE("many threads record at once while the file is written") {
  constexpr int kThreads = 4;
  constexpr int kEach = 2000;
  Tracer tracer({.process_name = "p", .max_events = kThreads * kEach - 100});
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&tracer, t] {
      const char* const name = tracer.Intern("thread " + std::to_string(t));
      for (int i = 0; i < kEach; ++i) {
        const TraceSpan span(&tracer, TraceCategory::kCompute, name,
                             {.step = i});
      }
    });
  }
  const Json early = WriteAndParse(tracer);
  for (std::thread& thread : threads) thread.join();
  REQUIRE(tracer.dropped() == 100);
  const auto spans = EventsOf(WriteAndParse(tracer), "X");
  REQUIRE(spans.size() == kThreads * kEach - 100);
  REQUIRE(EventsOf(early, "X").size() <= spans.size());
  // Each thread's own in its order, whole and on its own line.
  std::map<std::string, int> last;
  std::map<std::string, int> thread_of;
  for (const Json& span : spans) {
    const std::string name = span["name"];
    const auto [seen, first] = last.try_emplace(name, -1);
    REQUIRE(span["args"]["step"] > seen->second);
    seen->second = span["args"]["step"];
    REQUIRE(thread_of.try_emplace(name, span["tid"]).first->second ==
            span["tid"]);
  }
}

TEST_CASE("without a file nothing is traced") {
  const auto tracer = StartTrace("", {.process_name = "p"});
  REQUIRE_OK(tracer);
  REQUIRE(*tracer == nullptr);
  REQUIRE_OK(FinishTrace(tracer->get(), ""));
}

TEST_CASE("a place where no file can be made is told at once") {
  const std::string path = NewScratchFolder() + "/none/trace.json";
  REQUIRE_ERROR(StartTrace(path, {.process_name = "p"}),
                absl::StatusCode::kNotFound, "--trace_out", path);
  // A folder above is enough, and the current one is meant by none.
  REQUIRE_OK(StartTrace(NewScratchFolder() + "/trace.json", {.max_events = 1}));
  REQUIRE_OK(StartTrace("trace.json", {.max_events = 1}));
}

TEST_CASE("a place that cannot be written is an error") {
  const Tracer tracer({.max_events = 1});
  REQUIRE_ERROR(tracer.Write(NewScratchFolder() + "/none/trace.json"),
                absl::StatusCode::kNotFound, "none/trace.json");
}

}  // namespace
}  // namespace tessera
