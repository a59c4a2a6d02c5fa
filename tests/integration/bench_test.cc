// The benchmark, on settings so small that nothing depends on speed.

#include <signal.h>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/base/file.h"
#include "tests/support/command.h"
#include "tests/support/status.h"

namespace tessera {
namespace {

constexpr char kBench[] = "worker/tessera_bench";
constexpr char kServer[] = "server/tessera_server";

// What all runs have in common.
const std::vector<std::string> kSmall = {"--set_bytes=64KiB",
                                         "--duration=0.005", "--repetitions=2"};

struct BenchRun {
  int exit_status = -1;
  std::string output;
  std::string folder;

  nlohmann::json Json() const {
    return nlohmann::json::parse(
        ReadFile(absl::StrCat(folder, "/out.json")).value());
  }
};

BenchRun Run(std::vector<std::string> flags) {
  BenchRun run{.folder = NewScratchFolder()};
  flags.insert(flags.begin(), kBench);
  flags.insert(flags.end(), kSmall.begin(), kSmall.end());
  flags.push_back(absl::StrCat("--json_out=", run.folder, "/out.json"));
  Command command(flags, absl::StrCat(run.folder, "/log"));
  const auto ending = command.Wait();
  run.output = command.Output();
  INFO(run.output);
  REQUIRE(ending.has_value());
  run.exit_status = ending->exit_status;
  return run;
}

void RequireLine(const nlohmann::json& line) {
  INFO(line.dump());
  if (line.contains("gb_per_second")) {
    const nlohmann::json& gb = line["gb_per_second"];
    REQUIRE(gb["min"] > 0);
    REQUIRE(gb["min"] <= gb["median"]);
    REQUIRE(gb["median"] <= gb["max"]);
    REQUIRE(line["repetitions_gb_per_second"].size() == 2);
    REQUIRE(line["share_of_raw_tcp"] > 0);
    REQUIRE(line["cpu_seconds_per_gb"]["median"] > 0);
  }
  REQUIRE(line["p50_us"] > 0);
  REQUIRE(line["p50_us"] <= line["p99_us"]);
  REQUIRE(line["latency_samples"] > 0);
}

TEST_CASE("a small matrix: every path, every operation, values right") {
  const std::string svg = absl::StrCat(NewScratchFolder(), "/out.svg");
  const BenchRun run = Run({"--sizes=4KiB,64KiB", "--shapes=1x1,3x2",
                            "--operations=push,pull,push-pull", "--baseline",
                            absl::StrCat("--svg_out=", svg)});
  INFO(run.output);
  REQUIRE(run.exit_status == 0);
  const nlohmann::json json = run.Json();
  // For each of 4 settings: raw, tcp, shm and the baseline for 3 operations,
  // push-pull in place, and raw's two round trips.
  REQUIRE(json["series"].size() == 4 * (3 * 4 + 1 + 1));
  std::set<std::string> kinds;
  for (const nlohmann::json& line : json["series"]) {
    RequireLine(line);
    kinds.insert(absl::StrCat(line["operation"].get<std::string>(), " by ",
                              line["transport"].get<std::string>()));
  }
  REQUIRE(kinds.size() == 3 * 4 + 1 + 1);
  REQUIRE(kinds.contains("push-pull by shm in place"));
  REQUIRE(json["values_checked"] > 0);
  REQUIRE(json["left_out"].empty());
  REQUIRE(json["memory"]["copy_256_mib"]["median"] > 0);
  for (const char* word : {"This takes about", "GB/s", "values checked"}) {
    CAPTURE(word);
    REQUIRE(run.output.find(word) != std::string::npos);
  }
  REQUIRE(ReadFile(svg).value().find("</svg>") != std::string::npos);
}

TEST_CASE(
    "bfloat16 is reported apart, and refused where ranges are not single") {
  const BenchRun run =
      Run({"--sizes=4KiB", "--shapes=2x1,3x1", "--encoding=bfloat16"});
  INFO(run.output);
  REQUIRE(run.exit_status == 0);
  const nlohmann::json json = run.Json();
  int rounded = 0;
  for (const nlohmann::json& line : json["series"]) {
    RequireLine(line);
    REQUIRE(line["workers"] == 2);
    const bool is_raw = line["transport"] == "raw tcp";
    REQUIRE(line["encoding"] == (is_raw ? "float32" : "bfloat16"));
    if (!is_raw) ++rounded;
  }
  REQUIRE(rounded == 2);
  REQUIRE(json["left_out"].size() == 1);
}

TEST_CASE("scaling: time and memory for each point, all within the bound") {
  const BenchRun run =
      Run({"--mode=scaling", "--scaling_servers=1,3", "--scaling_workers=1,3",
           "--scaling_bytes=256KiB,4MiB", "--scaling_base=2x2",
           "--scaling_base_bytes=1MiB"});
  INFO(run.output);
  REQUIRE(run.exit_status == 0);
  const nlohmann::json json = run.Json();
  REQUIRE(json["points"].size() == 6);
  for (const nlohmann::json& point : json["points"]) {
    INFO(point.dump());
    REQUIRE(point["step_ms"]["median"] > 0);
    REQUIRE(point["within_bound"] == true);
    const nlohmann::json& server = point["server"];
    const int64_t elements = server["elements"];
    REQUIRE(server["parameter_bytes"] == 4 * elements);
    REQUIRE(server["older_version_bytes"] <= 4 * elements);
    REQUIRE(server["peak_resident_bytes"] > 4 * elements);
  }
  REQUIRE(json["values_checked"] > 0);
}

// A server for a job that the benchmark has written.
class Servers {
 public:
  Servers(const std::string& job, int count) {
    for (int shard = 0; shard < count; ++shard) {
      const std::string folder = NewScratchFolder();
      const std::string port_file = absl::StrCat(folder, "/port");
      servers_.push_back(std::make_unique<Command>(
          std::vector<std::string>{kServer, absl::StrCat("--job=", job),
                                   absl::StrCat("--shard=", shard),
                                   absl::StrCat("--shard_count=", count),
                                   "--norecover",
                                   absl::StrCat("--port_file=", port_file)},
          absl::StrCat(folder, "/log")));
      REQUIRE(Eventually([&] { return ReadFile(port_file).ok(); }));
      addresses_.emplace_back(
          absl::StripAsciiWhitespace(ReadFile(port_file).value()));
    }
  }
  std::string addresses() const { return absl::StrJoin(addresses_, ","); }

 private:
  std::vector<std::unique_ptr<Command>> servers_;
  std::vector<std::string> addresses_;
};

TEST_CASE("servers that run already are measured, again and again") {
  const std::string job = absl::StrCat(NewScratchFolder(), "/job");
  REQUIRE(
      Run({"--sizes=4KiB", "--shapes=2x2", absl::StrCat("--write_job=", job)})
          .exit_status == 0);
  const Servers servers(job, 2);
  const std::string at = absl::StrCat("--servers_at=", servers.addresses());
  for (int i = 0; i < 2; ++i) {
    const BenchRun run = Run(
        {"--shapes=2x2", "--transport=tcp", "--operations=push,push-pull", at});
    INFO(run.output);
    REQUIRE(run.exit_status == 0);
    REQUIRE(run.output.find("overwritten") != std::string::npos);
    const nlohmann::json json = run.Json();
    REQUIRE(json["series"].size() == 2);
    REQUIRE(json["series"][0]["message_bytes"] == 4096);
    REQUIRE(json["series"][0]["servers"] == 2);
  }
  // Not with another number of workers, nor with half of the servers.
  REQUIRE(Run({"--shapes=5x1", at}).exit_status == 2);
  const std::vector<std::string> each =
      absl::StrSplit(servers.addresses(), ',');
  REQUIRE(Run({"--shapes=2x1", absl::StrCat("--servers_at=", each[0])})
              .exit_status == 2);
}

TEST_CASE("somebody's training job is not overwritten") {
  const std::string job = absl::StrCat(NewScratchFolder(), "/job");
  REQUIRE(
      Run({"--sizes=4KiB", "--shapes=1x1", absl::StrCat("--write_job=", job)})
          .exit_status == 0);
  std::string text = ReadFile(job).value();
  const std::string name = "name: \"tessera_bench\"";
  REQUIRE(text.find(name) != std::string::npos);
  text.replace(text.find(name), name.size(), "name: \"precious\"");
  REQUIRE_OK(WriteFileAtomically(job, text));
  const Servers servers(job, 1);
  const std::string at = absl::StrCat("--servers_at=", servers.addresses());
  const BenchRun refused = Run({"--shapes=1x1", "--transport=tcp", at});
  REQUIRE(refused.exit_status == 2);
  REQUIRE(refused.output.find("precious") != std::string::npos);
  REQUIRE(refused.output.find("--force") != std::string::npos);
  REQUIRE(Run({"--shapes=1x1", "--transport=tcp", "--force", at}).exit_status ==
          0);
}

TEST_CASE("bad flags are named, and nothing is started") {
  for (const auto& [flag, word] :
       std::vector<std::pair<std::string, std::string>>{
           {"--sizes=100", "--sizes"},
           {"--sizes=128MiB", "block_bytes"},
           {"--shapes=2", "WORKERSxSERVERS"},
           {"--operations=shove", "push-pull"},
           {"--transport=pigeon", "tcp or shm"},
           {"--encoding=int4", "bfloat16"},
           {"--in_flight=0", "--in_flight"},
           {"--mode=fast", "scaling"},
           {"--server_binary=/nonexistent", "/nonexistent"}}) {
    CAPTURE(flag);
    const BenchRun run = Run({flag});
    INFO(run.output);
    REQUIRE(run.exit_status != 0);
    REQUIRE(run.output.find(word) != std::string::npos);
  }
}

TEST_CASE("nothing is left behind when it is told to stop") {
  const std::string folder = NewScratchFolder();
  setenv("TMPDIR", folder.c_str(), 1);
  Command command({kBench, "--sizes=4KiB", "--shapes=2x2", "--duration=60"},
                  absl::StrCat(folder, "/log"));
  unsetenv("TMPDIR");
  std::vector<pid_t> children;
  REQUIRE(Eventually([&] {
    children = Descendants(command.pid(), "tessera_");
    return children.size() >= 6;
  }));
  command.Signal(SIGTERM);
  const auto ending = command.Wait();
  REQUIRE(ending.has_value());
  REQUIRE(ending->exit_status == 128 + SIGTERM);
  for (pid_t child : children) {
    REQUIRE(Eventually([&] { return !IsAlive(child); }));
  }
}

}  // namespace
}  // namespace tessera
