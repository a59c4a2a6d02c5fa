// The timeline of a whole run: what a person would look for is there.

#include <signal.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/base/file.h"
#include "tests/integration/job_run.h"

namespace tessera {
namespace {

using Json = nlohmann::json;

constexpr int kSteps = 12;
constexpr int kMicrobatches = 8;
const std::vector<std::string> kLayers = {
    "conv1", "relu1", "pool1", "dense1", "relu2", "dropout1", "dense2"};

int64_t Begin(const Json& event) { return event["ts"]; }
int64_t End(const Json& event) {
  return event["ts"].get<int64_t>() + event["dur"].get<int64_t>();
}
bool Contains(const Json& outer, const Json& inner) {
  return outer["pid"] == inner["pid"] && outer["tid"] == inner["tid"] &&
         Begin(outer) <= Begin(inner) && End(inner) <= End(outer);
}

// One launch's merged file.
class Timeline {
 public:
  explicit Timeline(const std::string& path) {
    const auto text = ReadFile(path);
    REQUIRE(text.ok());
    json_ = Json::parse(*text);
    for (const Json& event : json_["traceEvents"]) {
      if (event["name"] == "process_name") {
        processes_[event["pid"]] = event["args"]["name"];
      }
    }
  }

  const Json& about() const { return json_["otherData"]; }
  const Json& events() const { return json_["traceEvents"]; }

  std::vector<std::string> processes() const {
    std::vector<std::string> names;
    for (const auto& [pid, name] : processes_) names.push_back(name);
    std::sort(names.begin(), names.end());
    return names;
  }
  bool IsWorkers(const Json& event) const {
    return absl::StartsWith(processes_.at(event["pid"]), "worker");
  }

  // Events of this phase whose names are `name`, or begin with it and a blank.
  std::vector<Json> Find(const std::string& phase,
                         const std::string& name) const {
    std::vector<Json> found;
    for (const Json& event : events()) {
      const std::string full = event["name"];
      if (event["ph"] != phase) continue;
      if (full == name || absl::StartsWith(full, name + " ")) {
        found.push_back(event);
      }
    }
    return found;
  }

 private:
  Json json_;
  std::map<int, std::string> processes_;
};

// Whether the ranges in these events' args are all microbatches, each once.
bool CoverAll(const std::vector<Json>& events) {
  std::vector<int> seen(kMicrobatches, 0);
  for (const Json& event : events) {
    const Json& range = event["args"]["range"];
    for (int m = range[0]; m < range[1]; ++m) ++seen[static_cast<size_t>(m)];
  }
  return seen == std::vector<int>(kMicrobatches, 1);
}

std::map<std::pair<int, int>, std::vector<Json>> ByStepAndBlock(
    const std::vector<Json>& events) {
  std::map<std::pair<int, int>, std::vector<Json>> by;
  for (const Json& event : events) {
    by[{event["args"]["step"], event["args"]["block"]}].push_back(event);
  }
  return by;
}

// What one thread did is nested or disjoint.
void RequireProperlyNested(const Timeline& timeline) {
  std::map<std::pair<int, int>, std::vector<Json>> by_thread;
  for (const Json& event : timeline.events()) {
    if (event["ph"] == "X") {
      by_thread[{event["pid"], event["tid"]}].push_back(event);
    }
  }
  for (auto& [thread, events] : by_thread) {
    std::stable_sort(
        events.begin(), events.end(), [](const Json& a, const Json& b) {
          return std::tuple(Begin(a), -End(a)) < std::tuple(Begin(b), -End(b));
        });
    std::vector<int64_t> open;
    for (const Json& event : events) {
      while (!open.empty() && open.back() <= Begin(event)) open.pop_back();
      if (open.empty() || End(event) <= open.back()) {
        open.push_back(End(event));
        continue;
      }
      CAPTURE(event.dump(), open.back());
      FAIL("an event ends after the one that it began in");
    }
  }
}

void RequireLayers(const Timeline& timeline, const std::string& part) {
  const std::vector<Json> microbatches = timeline.Find("X", "microbatch");
  const std::vector<Json> layers = timeline.Find("X", part);
  REQUIRE(microbatches.size() >= kSteps * kMicrobatches);
  for (const Json& microbatch : microbatches) {
    std::set<std::string> seen;
    for (const Json& layer : layers) {
      if (Contains(microbatch, layer))
        seen.insert(layer["args"]["layer"].get<std::string>());
    }
    CAPTURE(part, microbatch.dump());
    for (const std::string& layer : kLayers) {
      CAPTURE(layer);
      REQUIRE(seen.contains(layer));
    }
  }
}

// Each contribution's arrow begins at a worker, passes a server, and ends at a
// worker.
void RequireArrows(const Timeline& timeline) {
  std::map<uint64_t, int64_t> begins;
  for (const Json& event : timeline.Find("s", "contribution")) {
    REQUIRE(timeline.IsWorkers(event));
    begins[event["id"]] = event["ts"];
  }
  REQUIRE_FALSE(begins.empty());
  for (const char* phase : {"t", "f"}) {
    CAPTURE(phase);
    const auto later = timeline.Find(phase, "contribution");
    REQUIRE_FALSE(later.empty());
    for (const Json& event : later) {
      REQUIRE(timeline.IsWorkers(event) == (event["ph"] == "f"));
      REQUIRE(begins.contains(event["id"]));
      REQUIRE(begins[event["id"]] <= event["ts"]);
    }
  }
}

TEST_CASE("a run's timeline has every step of every process") {
  const std::string path = NewScratchFolder() + "/trace.json";
  const int64_t before = absl::ToUnixMicros(absl::Now());
  LaunchRun run(WriteSmallJob({.steps = kSteps}), 2, 2,
                {absl::StrCat("--trace_out=", path)});
  run.RequireSuccess();
  const int64_t after = absl::ToUnixMicros(absl::Now());
  const Timeline timeline(path);

  REQUIRE(
      timeline.processes() ==
      std::vector<std::string>{"server 0", "server 1", "worker 0", "worker 1"});
  REQUIRE(timeline.about()["missing"].empty());
  for (const Json& process : timeline.about()["processes"]) {
    CAPTURE(process.dump());
    REQUIRE(process["dropped"] == 0);
    // The job is short: one worker may have done all of it before the other
    // was there.
    const bool is_server =
        absl::StartsWith(process["name"].get<std::string>(), "server");
    REQUIRE((process["events"].get<int>() > 0 || !is_server));
  }
  for (const Json& event : timeline.events()) {
    if (event["ph"] == "M") continue;
    CAPTURE(event.dump());
    REQUIRE(event["ts"].get<int64_t>() >= before);
    REQUIRE(event["ts"].get<int64_t>() <= after);
  }
  RequireProperlyNested(timeline);
  RequireArrows(timeline);

  // The servers: each microbatch counts once for each block, and the one that
  // completes the step applies it.
  const auto applied = ByStepAndBlock(timeline.Find("X", "apply"));
  auto counted = ByStepAndBlock(timeline.Find("X", "add"));
  const int blocks = std::prev(applied.end())->first.second + 1;
  REQUIRE(blocks > 2);
  REQUIRE(applied.size() == static_cast<size_t>(kSteps * blocks));
  for (const auto& [key, applies] : applied) {
    CAPTURE(key.first, key.second);
    REQUIRE(applies.size() == 1);
    REQUIRE_FALSE(timeline.IsWorkers(applies.front()));
    std::vector<Json>& all = counted[key];
    all.push_back(applies.front());
    REQUIRE(CoverAll(all));
  }

  // The workers: each range is computed, every layer of it, and every block of
  // its gradient pushed and followed to the answer.
  RequireLayers(timeline, "forward");
  RequireLayers(timeline, "backward");
  const auto trained = timeline.Find("X", "train");
  std::map<int, std::vector<Json>> by_step;
  for (const Json& train : trained) {
    by_step[train["args"]["step"]].push_back(train);
  }
  const auto pushes = timeline.Find("X", "push");
  for (int step = 0; step < kSteps; ++step) {
    CAPTURE(step);
    REQUIRE(CoverAll(by_step[step]));
    for (const Json& train : by_step[step]) {
      std::set<int> pushed;
      for (const Json& push : pushes) {
        if (Contains(train, push))
          pushed.insert(push["args"]["block"].get<int>());
      }
      REQUIRE(pushed.size() == static_cast<size_t>(blocks));
    }
  }
  for (const char* phase : {"queue", "send", "await"}) {
    CAPTURE(phase);
    REQUIRE(timeline.Find("b", phase).size() ==
            timeline.Find("e", phase).size());
    REQUIRE(timeline.Find("b", phase).size() >= pushes.size());
  }
  const auto waits = timeline.Find("X", "wait for");
  for (const Json& train : trained) {
    std::set<std::string> waited_for;
    for (const Json& wait : waits) {
      if (!Contains(train, wait)) continue;
      REQUIRE(wait["args"]["step"] == train["args"]["step"]);
      waited_for.insert(wait["args"]["layer"].get<std::string>());
    }
    REQUIRE(waited_for == std::set<std::string>{"conv1", "dense1", "dense2"});
  }
}

TEST_CASE("a worker that was killed is missing from the timeline by name") {
  const std::string path = NewScratchFolder() + "/trace.json";
  // Long enough that a fast machine is not done before the kill.
  LaunchRun run(WriteSmallJob({.steps = 1500}), 1, 2,
                {absl::StrCat("--trace_out=", path)});
  REQUIRE(Eventually([&] { return run.StepsSeen() > 20; }));
  const auto workers = Descendants(run.command().pid(), "--label=worker-1");
  REQUIRE(workers.size() == 1);
  kill(workers.front(), SIGKILL);
  run.RequireSuccess();
  const Timeline timeline(path);
  REQUIRE(timeline.processes() ==
          std::vector<std::string>{"server 0", "worker 0", "worker 1.1"});
  REQUIRE(timeline.about()["missing"].size() == 1);
  REQUIRE(absl::StartsWith(timeline.about()["missing"][0].get<std::string>(),
                           "worker-1:"));
}

TEST_CASE("a timeline that could not be written is refused at the start") {
  const std::string path = NewScratchFolder() + "/none/trace.json";
  LaunchRun run(WriteSmallJob({}), 1, 1, {absl::StrCat("--trace_out=", path)});
  const auto ending = run.command().Wait();
  REQUIRE(ending.has_value());
  REQUIRE(ending->exit_status == 2);
  REQUIRE(absl::StrContains(run.command().Output(), path));
}

}  // namespace
}  // namespace tessera
