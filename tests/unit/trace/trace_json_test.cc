// The lines that events become, read back by a JSON parser.

#include "common/trace/trace_json.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_cat.h"

namespace tessera {
namespace {

using Json = nlohmann::json;

constexpr int64_t kOffsetNs = 1'700'000'000'000'000'000;

// All events that `format` wrote to `lines`.
Json Parse(const std::string& lines) {
  return Json::parse(absl::StrCat("[", lines, "]"));
}

Json Format(const TraceEvent& event) {
  TraceFormatter format(7, kOffsetNs);
  std::string lines;
  format.Event(event, lines);
  return Parse(lines);
}

TEST_CASE("an event of a thread is one complete event") {
  const Json events = Format({.name = "add",
                              .category = TraceCategory::kShard,
                              .begin_ns = 2'000'999,
                              .end_ns = 2'005'001,
                              .thread = 9,
                              .args = {.step = 3,
                                       .block = 4,
                                       .range_begin = 0,
                                       .range_end = 2,
                                       .bytes = 1024,
                                       .worker = 17}});
  REQUIRE(events == Json::parse(R"([{
    "pid": 7, "tid": 9, "ph": "X", "cat": "shard", "name": "add block 4",
    "ts": 1700000000002000, "dur": 5,
    "args": {"step": 3, "block": 4, "range": [0, 2], "bytes": 1024,
             "worker": 17}
  }])"));
}

TEST_CASE("what is not known is left out") {
  const Json events = Format({.name = "step"});
  REQUIRE(events.size() == 1);
  REQUIRE(events[0]["name"] == "step");
  REQUIRE(events[0]["args"] == Json::object());
}

TEST_CASE("a layer and its blocks are named") {
  const Json events = Format(
      {.name = "wait for",
       .category = TraceCategory::kWait,
       .args = {.step = 0, .block = 2, .block_end = 5, .layer = "conv1"}});
  REQUIRE(events[0]["name"] == "wait for conv1");
  REQUIRE(events[0]["args"] ==
          Json::parse(R"({"step": 0, "blocks": [2, 5], "layer": "conv1"})"));
}

TEST_CASE("rounding to microseconds keeps events nested") {
  for (int64_t shift = 0; shift < 2000; shift += 37) {
    CAPTURE(shift);
    const Json outer =
        Format({.name = "outer", .begin_ns = shift, .end_ns = shift + 2500})[0];
    const Json inner = Format(
        {.name = "inner", .begin_ns = shift + 600, .end_ns = shift + 2500})[0];
    const auto end = [](const Json& event) {
      return event["ts"].get<int64_t>() + event["dur"].get<int64_t>();
    };
    REQUIRE(outer["ts"] <= inner["ts"]);
    REQUIRE(end(inner) <= end(outer));
  }
}

TEST_CASE("an event on a track is a begin and an end with one id") {
  const Json events = Format({.name = "send",
                              .category = TraceCategory::kPush,
                              .begin_ns = 1000,
                              .end_ns = 9000,
                              .track = 12,
                              .args = {.block = 1}});
  REQUIRE(events.size() == 2);
  for (int i : {0, 1}) {
    CAPTURE(i);
    REQUIRE(events[i]["ph"] == (i == 0 ? "b" : "e"));
    REQUIRE(events[i]["name"] == "send block 1");
    REQUIRE(events[i]["cat"] == "push");
    REQUIRE(events[i]["id2"]["local"] == "12");
  }
  REQUIRE(events[1]["ts"].get<int64_t>() - events[0]["ts"].get<int64_t>() == 8);
}

TEST_CASE("the ends of an arrow carry the same number in all processes") {
  const TraceArgs args{.step = 5, .block = 3, .range_begin = 2, .range_end = 4};
  const auto flow = [](TraceArgs with, TraceFlow flow, int pid) {
    with.flow = flow;
    TraceFormatter format(pid, kOffsetNs);
    std::string lines;
    format.Event({.name = "x", .begin_ns = 1000, .end_ns = 5000, .args = with},
                 lines);
    const Json events = Parse(lines);
    REQUIRE(events.size() == 2);
    REQUIRE(events[1]["ts"] == events[0]["ts"]);
    REQUIRE(events[1]["tid"] == events[0]["tid"]);
    return events[1];
  };
  const Json begins = flow(args, TraceFlow::kBegins, 1);
  const Json passes = flow(args, TraceFlow::kPasses, 2);
  const Json ends = flow(args, TraceFlow::kEnds, 1);
  REQUIRE(begins["ph"] == "s");
  REQUIRE(passes["ph"] == "t");
  REQUIRE(ends["ph"] == "f");
  REQUIRE(begins["id"] == passes["id"]);
  REQUIRE(begins["id"] == ends["id"]);
  REQUIRE(begins["id"].get<uint64_t>() < uint64_t{1} << 53);
  TraceArgs other = args;
  other.range_begin = 0;
  REQUIRE(flow(other, TraceFlow::kBegins, 1)["id"] != begins["id"]);
}

TEST_CASE("names of any bytes stay JSON") {
  const std::string odd = "a \"quoted\" \\ name\n\t\x01 caf\xc3\xa9";
  const std::string broken = "\xff\xfe";
  TraceFormatter format(1, 0);
  std::string lines;
  format.ProcessName({.name = odd}, 3, lines);
  format.ThreadName(4, broken, lines);
  format.Event({.name = odd.c_str(), .args = {.layer = broken.c_str()}}, lines);
  const Json events = Parse(lines);
  REQUIRE(events[0]["args"]["name"] == odd);
  REQUIRE(events[1]["args"]["sort_index"] == 3);
  REQUIRE(events[2]["name"] == "thread_name");
  REQUIRE(events[3]["name"].get<std::string>().substr(0, odd.size()) == odd);
}

TEST_CASE("a process that lost events says so") {
  TraceFormatter format(1, 0);
  std::string lines;
  format.ProcessName({.name = "w", .dropped = 31}, 0, lines);
  const Json events = Parse(lines);
  REQUIRE(events.back()["name"] == "process_labels");
  REQUIRE(events.back()["args"]["labels"] == "31 later events lost");
}

}  // namespace
}  // namespace tessera
