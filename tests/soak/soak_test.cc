// A real job whose servers and workers are killed and stopped, over and over,
// ends with the bits of a job that nobody disturbed.
//
// Environment: TESSERA_SOAK_KILLS=N, processes to kill (default 12; the long
// form is 100 and more); TESSERA_SOAK_SEED=S chooses the actions and their
// moments as an earlier run did. Lines that begin with "soak:" are the report.

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdio>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "tests/integration/job_run.h"
#include "tests/soak/actions.h"
#include "tests/soak/disturber.h"
#include "tests/soak/outcome.h"
#include "tests/soak/soak_run.h"
#include "tests/support/environment.h"
#include "tests/support/status.h"

namespace tessera {
namespace {

// Undisturbed work between two actions. Long against what it takes to see a
// status, so that the job cannot be over before the last of them.
constexpr double kSecondsBetween = 2;
constexpr int kTrialSteps = 1500;
// Checkpoints between two actions.
constexpr int kCheckpointsBetween = 6;

std::string WriteSoakJob(int64_t steps, int64_t checkpoint_every) {
  return WriteSmallJob(
      {.steps = static_cast<int>(steps),
       .extra = absl::StrCat("operation { checkpoint { every_steps: ",
                             checkpoint_every, " } }")});
}

// What this machine does, undisturbed.
double StepsPerSecond() {
  const auto summary = RunUndisturbed(WriteSoakJob(kTrialSteps, 1));
  return kTrialSteps / std::max(summary["seconds"].get<double>(), 0.1);
}

void Report(const Disturber& disturber) {
  std::string kinds;
  for (const auto& [kind, count] : disturber.kills()) {
    absl::StrAppend(&kinds, ", ", count, " of a ", kind);
  }
  std::printf("soak: %d kills%s; %d of servers while the job recovered\n",
              disturber.kill_count(), kinds.c_str(),
              disturber.kills_while_recovering());
  std::printf("soak: the servers' generation at the end: %d\n",
              static_cast<int>(disturber.clock().generation()));
  std::printf("soak: a server's death to the next step: %s\n",
              DescribeTimes(disturber.clock().recoveries()).c_str());
}

TEST_CASE("a job that is disturbed over and over ends with the same bits") {
  const auto kills =
      static_cast<int>(NumberFromEnvironment("TESSERA_SOAK_KILLS", 12));
  const uint64_t seed =
      NumberFromEnvironment("TESSERA_SOAK_SEED", std::random_device{}());
  CAPTURE(kills, seed);
  std::printf("soak: TESSERA_SOAK_KILLS=%d TESSERA_SOAK_SEED=%llu\n", kills,
              static_cast<unsigned long long>(seed));
  AdoptOrphans();
  std::mt19937_64 random(seed);
  SoakRunOptions options{.servers = 3, .workers = 2};
  const std::vector<Action> actions =
      DrawActions(kills, options.workers, random);
  const auto count = static_cast<int>(actions.size());
  const int64_t between = std::max<int64_t>(
      static_cast<int64_t>(StepsPerSecond() * kSecondsBetween), 60);
  const int64_t steps = between * (count + 1);
  const std::vector<int64_t> moments = DrawMoments(count, steps, random);
  options.job_file = WriteSoakJob(steps, between / kCheckpointsBetween);
  const auto undisturbed = RunUndisturbed(options.job_file);
  std::printf("soak: %d actions in %lld steps, %.0f s undisturbed\n", count,
              static_cast<long long>(steps),
              undisturbed["seconds"].get<double>());
  std::fflush(stdout);

  SoakRun run(options);
  Disturber disturber(run, random());
  absl::Status status = disturber.Begin();
  for (size_t i = 0; i < actions.size() && status.ok(); ++i) {
    INFO("action " << i << ": " << NameOf(actions[i]));
    status = disturber.AwaitSteps(moments[i]);
    if (status.ok()) status = disturber.Do(actions[i]);
    if (status.ok()) continue;
    Report(disturber);
    INFO(run.Logs());
    REQUIRE_OK(status);
  }
  status = disturber.AwaitEnd(absl::Minutes(20));
  Report(disturber);
  if (!status.ok()) {
    INFO(run.Logs());
    REQUIRE_OK(status);
  }
  // It took part, beyond saying hello.
  REQUIRE(disturber.DismissGuest() > 1000000);
  RequireSameEnd(run, undisturbed["params_sha256"]);
  REQUIRE(disturber.kill_count() >= kills);
  // Every server that died was missed, and made good.
  REQUIRE_FALSE(disturber.clock().is_recovering());
  REQUIRE(run.Summary()["steps"] == steps);
}

TEST_CASE("a seed's actions are as many as the kills, and come in time") {
  std::mt19937_64 random(7);
  const std::vector<Action> actions = DrawActions(100, 2, random);
  int kills = 0;
  for (const Action action : actions) kills += KillsOf(action, 2);
  REQUIRE(kills >= 100);
  REQUIRE(kills - KillsOf(actions.back(), 2) < 100);
  const auto moments =
      DrawMoments(static_cast<int>(actions.size()), 10000, random);
  REQUIRE(std::is_sorted(moments.begin(), moments.end()));
  REQUIRE(moments.front() > 0);
  REQUIRE(moments.back() < 10000);
}

}  // namespace
}  // namespace tessera
