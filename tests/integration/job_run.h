// Whole runs of the launcher on small jobs, and what they leave behind.

#ifndef TESSERA_TESTS_INTEGRATION_JOB_RUN_H_
#define TESSERA_TESTS_INTEGRATION_JOB_RUN_H_

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/command.h"

namespace tessera {

inline constexpr char kLauncher[] = "deploy/tessera_launch";
inline constexpr char kServer[] = "server/tessera_server";
inline constexpr char kWorker[] = "worker/tessera_worker";

// A job on a small image data set: conv, pool and dense layers, dropout,
// momentum; M = 8. It takes about a second.
struct SmallJob {
  int block_bytes = 1024;
  int steps = 40;
  std::string stop_extra;  // More fields of `stop`.
  std::string extra;       // More fields of the job.
};

// Writes the data set, once a process, and the job into a new folder; returns
// the job file's path.
std::string WriteSmallJob(const SmallJob& job);

// One launch.
class LaunchRun {
 public:
  LaunchRun(const std::string& job_file, int servers, int workers,
            const std::vector<std::string>& extra_flags = {});

  Command& command() { return *command_; }
  const std::string& run_dir() const { return run_dir_; }

  // Waits for the end and requires success.
  void RequireSuccess();

  // summary.json, parsed.
  nlohmann::json Summary() const;

  // Where the shard's server listens; empty until it does.
  std::string ServerAddress(int shard) const;

  // Steps recorded in metrics.jsonl so far.
  int StepsSeen() const;

 private:
  std::string run_dir_;
  std::unique_ptr<Command> command_;
};

// The params_sha256 of a whole run, which must succeed.
std::string RunAndHash(const SmallJob& job, int servers, int workers);

}  // namespace tessera

#endif  // TESSERA_TESTS_INTEGRATION_JOB_RUN_H_
