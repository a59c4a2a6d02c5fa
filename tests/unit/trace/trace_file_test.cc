// Files of several processes put into one.

#include "common/trace/trace_file.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "common/base/file.h"
#include "common/trace/trace.h"
#include "tests/support/command.h"
#include "tests/support/status.h"

namespace tessera {
namespace {

using Json = nlohmann::json;

// A file of `events` events under the name of this process.
void WritePart(const std::string& path, const std::string& process,
               int events) {
  Tracer tracer({.process_name = process, .max_events = 40000});
  for (int i = 0; i < events; ++i) {
    tracer.Record(TraceCategory::kShard, "add", i, i + 1, {.block = i});
  }
  REQUIRE_OK(tracer.Write(path));
}

Json ParseFile(const std::string& path) {
  const auto text = ReadFile(path);
  REQUIRE_OK(text);
  return Json::parse(*text);
}

TEST_CASE("parts are put together, and none is missed without a word") {
  const std::string dir = NewScratchFolder();
  // The second is larger than what is copied at once.
  WritePart(dir + "/a", "server 0", 2);
  WritePart(dir + "/b", "worker \"1\"", 20000);
  REQUIRE_OK(MergeTraces({{"server 0", dir + "/a"},
                          {"worker 0", dir + "/gone"},
                          {"worker 1", dir + "/b"}},
                         dir + "/all"));
  const Json all = ParseFile(dir + "/all");
  const Json& about = all["otherData"];
  REQUIRE(about["processes"].size() == 2);
  REQUIRE(about["processes"][0]["name"] == "server 0");
  REQUIRE(about["processes"][1]["name"] == "worker \"1\"");
  REQUIRE(about["processes"][1]["events"] == 20000);
  REQUIRE(about["missing"].size() == 1);
  REQUIRE(about["missing"][0].get<std::string>().find("worker 0") == 0);
  const Json a = ParseFile(dir + "/a")["traceEvents"];
  const Json b = ParseFile(dir + "/b")["traceEvents"];
  REQUIRE(all["traceEvents"].size() == a.size() + b.size());
  REQUIRE(all["traceEvents"].front() == a.front());
  REQUIRE(all["traceEvents"][a.size()] == b.front());
  REQUIRE(all["traceEvents"].back() == b.back());
}

TEST_CASE("without any part there is an empty timeline") {
  const std::string dir = NewScratchFolder();
  REQUIRE_OK(MergeTraces({{"worker 0", dir + "/gone"}}, dir + "/all"));
  const Json all = ParseFile(dir + "/all");
  REQUIRE(all["traceEvents"].empty());
  REQUIRE(all["otherData"]["missing"].size() == 1);
}

TEST_CASE("a merged file can be merged again") {
  const std::string dir = NewScratchFolder();
  WritePart(dir + "/a", "a", 1);
  WritePart(dir + "/b", "b", 1);
  REQUIRE_OK(MergeTraces({{"a", dir + "/a"}, {"b", dir + "/b"}}, dir + "/ab"));
  REQUIRE_OK(MergeTraces({{"ab", dir + "/ab"}}, dir + "/all"));
  REQUIRE(ParseFile(dir + "/all")["traceEvents"] ==
          ParseFile(dir + "/ab")["traceEvents"]);
}

TEST_CASE("a damaged part is refused by name, and nothing is written") {
  const std::string dir = NewScratchFolder();
  WritePart(dir + "/good", "good", 3);
  const std::string good = *ReadFile(dir + "/good");
  const std::string path = dir + "/damaged";
  for (const std::string& damaged :
       {std::string(), std::string("{}\n"), std::string("no json\n\n]}\n"),
        good.substr(0, good.size() - 1), good.substr(0, good.size() / 2),
        good.substr(0, 10), good.substr(0, good.find('\n') + 1),
        good.substr(0, good.find('\n')) + "\n]}\n"}) {
    CAPTURE(damaged);
    REQUIRE_OK(WriteFileAtomically(path, damaged));
    REQUIRE_ERROR(
        MergeTraces({{"g", dir + "/good"}, {"d", path}}, dir + "/all"),
        absl::StatusCode::kDataLoss, path);
    REQUIRE_FALSE(ReadFile(dir + "/all").ok());
  }
}

}  // namespace
}  // namespace tessera
