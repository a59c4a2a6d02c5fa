// The servers and workers of one run on this machine.

#ifndef TESSERA_DEPLOY_LAUNCH_CLUSTER_H_
#define TESSERA_DEPLOY_LAUNCH_CLUSTER_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/process/child.h"
#include "common/trace/trace_file.h"

namespace tessera {

struct ClusterOptions {
  std::string server_binary;
  std::string worker_binary;
  std::string job_file;  // Resolved.
  std::string run_dir;   // Logs go to its logs folder, which must exist.
  int servers = 1;
  int workers = 1;
  // Deaths that are made good before the run is given up.
  int worker_restarts = 20;
  int server_restarts = 20;
  std::vector<std::string> server_flags;
  std::vector<std::string> worker_flags;
  // Folder for a timeline of each process; none when empty.
  std::string trace_dir;
  // How long a server may take until it listens.
  absl::Duration start_timeout = absl::Seconds(60);
};

// What happened to a process that died.
struct Death {
  // A worker's; empty for a server.
  std::string label;
  // A sentence for the run's user.
  std::string report;
};

using OnDeath = std::function<void(const Death&)>;

// For the main thread only (see Child). The destructor kills what still runs.
class Cluster {
 public:
  // Starts the servers and waits until all listen, then starts the workers. A
  // server that is killed meanwhile is told to `on_death` and started again.
  // Codes: INVALID_ARGUMENT for a server that refuses its flags or job,
  // DEADLINE_EXCEEDED or FAILED_PRECONDITION for one that does not come up,
  // with the end of its log; ABORTED as from Tend; those of Child::Start.
  static absl::StatusOr<std::unique_ptr<Cluster>> Start(
      const ClusterOptions& options, const OnDeath& on_death);

  // Addresses of the servers, in shard order.
  const std::vector<std::string>& addresses() const { return addresses_; }

  // Where each process that was started puts its timeline, once it has ended.
  const std::vector<TracePart>& traces() const { return traces_; }

  // Reaps who has ended, calls `on_death` for each dead process, and starts it
  // again: at once the first time, after growing pauses when it keeps dying
  // soon; a server on the port that it had. A worker that exits with status 0
  // has left. Codes: ABORTED when a process refuses its flags or when too many
  // died; the message has the reason and the end of the log.
  absl::Status Tend(const OnDeath& on_death);

  // Starts those again that have left: for a job that went back behind its end.
  absl::Status StartWorkersAgain();
  // Servers that were started again, so far.
  int server_restarts() const { return server_restarts_; }

  // Waits until a process has ended or is due to be started, for `timeout` at
  // most.
  void AwaitEnding(absl::Duration timeout) const;

  bool AllWorkersHaveLeft() const;

  // Ends everything: workers first, so that they can hand back their work.
  void Stop();

 private:
  struct Process {
    bool is_worker = false;
    int index = 0;  // A server's shard.
    int starts = 0;
    std::string label;
    std::unique_ptr<Child> child;  // Null while it does not run.
    absl::Time started;
    // For one that died: when to start it again.
    absl::Time due = absl::InfiniteFuture();
    int quick_deaths = 0;  // In a row.

    // Without the count of its lives.
    std::string Name() const;
    // By itself, and not to be started again.
    bool HasLeft() const {
      return child == nullptr && due == absl::InfiniteFuture();
    }
  };

  explicit Cluster(const ClusterOptions& options) : options_(options) {}

  absl::Status StartProcess(Process& process);
  std::vector<std::string> ServerCommand(int shard) const;
  std::vector<std::string> WorkerCommand(const std::string& label) const;
  absl::Status AwaitServer(Process& server, const OnDeath& on_death);
  // Starts what is due, and sees to what has ended.
  absl::Status TendProcess(Process& process, const OnDeath& on_death);
  // Plans its next start. Codes: ABORTED when it is not to be started again.
  absl::Status Bury(Process& process, const ChildEnding& ending,
                    const OnDeath& on_death);
  std::string PortFile(int shard) const;
  std::string LogFile(const std::string& name) const;
  // Asks for a timeline, if there is to be one.
  void AddTraceFlag(const std::string& name, std::vector<std::string>& argv);
  // How long processes may take to end.
  absl::Duration Grace(absl::Duration without_trace) const;

  const ClusterOptions options_;
  std::vector<std::string> addresses_;
  std::vector<Process> servers_;
  std::vector<Process> workers_;
  std::vector<TracePart> traces_;
  int server_restarts_ = 0;
  int worker_restarts_ = 0;
};

}  // namespace tessera

#endif  // TESSERA_DEPLOY_LAUNCH_CLUSTER_H_
