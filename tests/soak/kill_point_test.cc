// A server that dies at any point of writing, completing, removing or loading a
// checkpoint costs nothing but time: one test case for each point and shard.

#include <catch2/catch.hpp>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "tests/integration/job_run.h"
#include "tests/soak/kill_orders.h"
#include "tests/soak/outcome.h"
#include "tests/soak/soak_run.h"
#include "tests/support/kill_point_storage.h"

namespace tessera {
namespace {

constexpr int kServers = 2;
constexpr int kLastShard = kServers - 1;

struct Trial {
  std::string name;
  std::vector<KillOrder> orders;  // Carried out one after the other.
  int checkpoint_every = 20;
};

std::string WriteTrialJob(int checkpoint_every) {
  return WriteSmallJob(
      {.steps = 400,
       // So that the second set already makes the first one go.
       .extra = absl::StrCat("operation { checkpoint { every_steps: ",
                             checkpoint_every, " keep: 1 } }")});
}

std::string ExpectedSha256() {
  static const std::string* const sha256 = new std::string(
      RunUndisturbed(WriteTrialJob(1))["params_sha256"].get<std::string>());
  return *sha256;
}

std::string JoinOrders(const std::vector<KillOrder>& orders) {
  std::string text;
  for (const KillOrder& order : orders) {
    absl::StrAppend(&text, text.empty() ? "" : ",", ToString(order));
  }
  return text;
}

void Run(const Trial& trial) {
  AdoptOrphans();
  const std::string expected = ExpectedSha256();
  const std::string orders = JoinOrders(trial.orders);
  const std::string markers = NewScratchFolder();
  CAPTURE(orders);
  // Through the launcher, to the servers.
  setenv("TESSERA_KILL_POINTS", orders.c_str(), 1);
  setenv("TESSERA_KILL_MARKERS", markers.c_str(), 1);
  SoakRun run({.job_file = WriteTrialJob(trial.checkpoint_every),
               .servers = kServers,
               .workers = 1,
               .extra_flags = {"--server_binary=tests/soak/killable_server"}});
  RequireSameEnd(run, expected);
  // Else nothing was shown.
  for (const KillOrder& order : trial.orders) {
    CAPTURE(ToString(order));
    INFO(run.Logs());
    REQUIRE(ReadFile(MarkerOf(markers, order)).ok());
  }
}

class TrialCase : public Catch::ITestInvoker {
 public:
  explicit TrialCase(Trial trial) : trial_(std::move(trial)) {}
  void invoke() const override { Run(trial_); }

 private:
  const Trial trial_;
};

// The point itself, on one shard.
Trial TrialOf(const KillPoint& point, int shard) {
  Trial trial{.name = absl::StrCat(point.name, " on shard ", shard)};
  // Sets are loaded once a server has died: the other shard's, in the middle of
  // its second set, so that the first one is there.
  if (point.when_restoring) {
    trial.orders.push_back({"shard-before-sync", 2, kLastShard - shard});
    trial.orders.push_back({point.name, 1, shard});
    return trial;
  }
  trial.orders.push_back({point.name, point.passings, shard});
  return trial;
}

std::vector<Trial> AllTrials() {
  std::vector<Trial> trials;
  for (const KillPoint& point : KillPoints()) {
    trials.push_back(TrialOf(point, 0));
    if (point.on_every_shard) trials.push_back(TrialOf(point, kLastShard));
  }
  // Header, two sections of one piece each and footer make four appends a file.
  for (const int shard : {0, kLastShard}) {
    trials.push_back(
        {absl::StrCat("in the second set's first piece on shard ", shard),
         {{"shard-in-append", 6, shard}}});
    trials.push_back({absl::StrCat("in the first set on shard ", shard),
                      {{"shard-after-rename", 1, shard}}});
  }
  trials.push_back(
      {"the first set's manifest", {{"manifest-in-append", 1, 0}}});
  // When all steps are done and only the last checkpoint is missing.
  for (const int shard : {0, kLastShard}) {
    trials.push_back({absl::StrCat("in the last checkpoint on shard ", shard),
                      {{"shard-before-sync", 1, shard}},
                      1000000});
  }
  trials.push_back({"in the last checkpoint's manifest",
                    {{"manifest-before-rename", 1, 0}},
                    1000000});
  trials.push_back({"the last checkpoint is there but not acknowledged",
                    {{"manifest-after-folder-sync", 1, 0}},
                    1000000});
  // The one that comes back dies as well.
  trials.push_back({"shard 0 dies writing then loading",
                    {{"shard-before-sync", 2, 0}, {"shard-in-read", 1, 0}}});
  trials.push_back({"shard 1 dies writing then loading",
                    {{"shard-before-sync", 2, 1}, {"shard-in-read", 1, 1}}});
  return trials;
}

// Test cases are made before main starts, as the TEST_CASE macro does.
[[maybe_unused]] const bool kAllRegistered = [] {
  for (const Trial& trial : AllTrials()) {
    const Catch::AutoReg registration(
        new TrialCase(trial), CATCH_INTERNAL_LINEINFO, Catch::StringRef(),
        Catch::NameAndTags(trial.name, "[kill-point]"));
  }
  return true;
}();

}  // namespace
}  // namespace tessera
