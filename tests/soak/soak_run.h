// A launcher with its servers and workers, watched and disturbed from outside.

#ifndef TESSERA_TESTS_SOAK_SOAK_RUN_H_
#define TESSERA_TESTS_SOAK_SOAK_RUN_H_

#include <sys/types.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "tessera/v1/coordinator.pb.h"
#include "tests/support/command.h"
#include "worker/client/coordinator_client.h"

namespace tessera {

struct SoakRunOptions {
  std::string job_file;
  int servers = 2;
  int workers = 2;
  bool with_checkpoints = true;
  std::vector<std::string> extra_flags;
};

// Not thread-safe. Everything that still runs is killed when it goes.
class SoakRun {
 public:
  explicit SoakRun(const SoakRunOptions& options);
  ~SoakRun();

  const SoakRunOptions& options() const { return options_; }
  Command& launcher() { return *launcher_; }
  const std::string& run_dir() const { return run_dir_; }
  const std::string& checkpoint_dir() const { return checkpoint_dir_; }

  // Process that has the shard now, dying or not yet serving included.
  std::optional<pid_t> Server(int shard) const;
  std::vector<pid_t> Workers() const;
  // In shard order; empty until all servers have listened for the first time.
  // They keep their addresses.
  std::vector<std::string> Addresses() const;

  // What the coordinator says; nothing when it does not answer within a
  // fraction of a second.
  std::optional<v1::GetStatusResponse> Status();

  bool HasEnded() const { return !IsAlive(launcher_->pid()); }
  // summary.json; null when there is none.
  nlohmann::json Summary() const;
  // What all processes have logged: for a failure's report.
  std::string Logs() const;

 private:
  const SoakRunOptions options_;
  const std::string folder_;
  const std::string run_dir_;
  const std::string checkpoint_dir_;
  std::unique_ptr<CoordinatorClient> client_;
  std::unique_ptr<Command> launcher_;
};

// Makes orphans of processes that this one starts its own children, so that
// LeftOver sees them.
void AdoptOrphans();

// Command lines of descendants that still live, after a moment for those that
// are dying.
std::vector<std::string> LeftOver();

// How a program ended that should take moments; its output in `output`.
// Nothing when it hangs.
std::optional<Ending> RunProgram(const std::vector<std::string>& argv,
                                 std::string& output);

}  // namespace tessera

#endif  // TESSERA_TESTS_SOAK_SOAK_RUN_H_
