#include "tests/soak/outcome.h"

#include <catch2/catch.hpp>
#include <optional>

#include "absl/strings/str_join.h"

namespace tessera {
namespace {

constexpr char kCtl[] = "deploy/tessera_ctl";

void RequireProgramSucceeds(const std::vector<std::string>& argv) {
  std::string output;
  const std::optional<Ending> ending = RunProgram(argv, output);
  INFO(absl::StrJoin(argv, " ") << "\n" << output);
  REQUIRE(ending.has_value());
  REQUIRE(ending->signal == 0);
  REQUIRE(ending->exit_status == 0);
}

void RequireLauncherSucceeds(SoakRun& run) {
  const auto ending = run.launcher().Wait(absl::Minutes(10));
  INFO(run.Logs());
  REQUIRE(ending.has_value());
  REQUIRE(ending->signal == 0);
  REQUIRE(ending->exit_status == 0);
}

}  // namespace

nlohmann::json RunUndisturbed(const std::string& job_file) {
  SoakRun run({.job_file = job_file, .with_checkpoints = false});
  RequireLauncherSucceeds(run);
  REQUIRE(run.Summary().is_object());
  return run.Summary();
}

void RequireSameEnd(SoakRun& run, const std::string& expected_sha256) {
  RequireLauncherSucceeds(run);
  REQUIRE(LeftOver() == std::vector<std::string>{});
  REQUIRE(run.Summary()["params_sha256"] == expected_sha256);
  RequireProgramSucceeds({kCtl, "verify", run.checkpoint_dir()});
  RequireProgramSucceeds({kCtl, "diff", run.checkpoint_dir(),
                          run.run_dir() + "/params.safetensors"});
}

}  // namespace tessera
