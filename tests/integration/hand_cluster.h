// Servers and workers started one by one, as on several machines, so that a
// test decides what lies between them.

#ifndef TESSERA_TESTS_INTEGRATION_HAND_CLUSTER_H_
#define TESSERA_TESTS_INTEGRATION_HAND_CLUSTER_H_

#include <memory>
#include <string>
#include <vector>

#include "tests/integration/job_run.h"
#include "tests/support/command.h"

namespace tessera {

// Not thread-safe. Everything that still runs is killed when it goes.
class HandCluster {
 public:
  // Resolves the job, starts the servers on free ports and waits until they
  // serve.
  HandCluster(const std::string& job_file, int servers,
              const std::vector<std::string>& server_flags = {});

  // In shard order.
  const std::vector<std::string>& addresses() const { return addresses_; }

  // A worker that looks for the servers there.
  void StartWorker(const std::vector<std::string>& servers,
                   const std::vector<std::string>& flags = {});

  // A launcher that watches the servers, and writes the results at the end.
  LaunchRun Watch() const;

  // Waits until the workers have ended by themselves, and requires success.
  void RequireWorkersEnd();

  // What all processes have printed: for INFO.
  std::string Logs() const;

 private:
  const std::string folder_;
  const std::string resolved_job_;
  std::vector<std::unique_ptr<Command>> servers_;
  std::vector<std::string> addresses_;
  std::vector<std::unique_ptr<Command>> workers_;
};

}  // namespace tessera

#endif  // TESSERA_TESTS_INTEGRATION_HAND_CLUSTER_H_
