// One set of servers and workers, each a process of its own, and runs on them.

#ifndef TESSERA_WORKER_BENCH_FABRIC_H_
#define TESSERA_WORKER_BENCH_FABRIC_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "worker/bench/child_setup.h"
#include "worker/bench/member.h"
#include "worker/bench/point.h"
#include "worker/bench/running_servers.h"

namespace tessera::bench {

struct FabricOptions {
  Setting setting;
  // All of Tessera, or one that is not.
  std::vector<Path> paths;
  std::string bench_binary;   // This program.
  std::string server_binary;  // tessera_server.
  std::string folder;         // Private and empty; the fabric's alone.
  // Instead of starting some.
  const RunningServers* running = nullptr;
  std::vector<std::string> running_raw;
};

// What all workers did together.
struct FabricRun {
  double seconds = 0;  // From the first worker's start to the last one's end.
  int64_t bytes = 0;   // Payload, as float32, pushed and pulled.
  double cpu_seconds = 0;  // Of all workers and of the servers started here.
  std::vector<double> latencies_us;
  int64_t values_checked = 0;
};

// For the main thread only (see Child). Everything it started ends with it.
class Fabric {
 public:
  // Starts everything and brings the parameters to 0. Codes: those of
  // Child::Start; UNAVAILABLE and the like for a process that does not come up,
  // with the end of its log.
  static absl::StatusOr<std::unique_ptr<Fabric>> Start(FabricOptions options);

  ~Fabric();

  // Runs on all workers at once, and compares the values that came back with
  // the closed form. Codes: DATA_LOSS where they differ; what failed, with the
  // end of the log of a process that died.
  absl::StatusOr<FabricRun> Run(const RunRequest& request);

  // Process ids of the servers started here.
  std::vector<pid_t> server_pids() const;
  const std::vector<std::string>& addresses() const { return addresses_; }

 private:
  explicit Fabric(FabricOptions options) : options_(std::move(options)) {}

  bool IsTessera() const { return IsProduct(options_.paths[0]); }
  ChildSetup SetupFor(int index) const;
  std::string InFolder(const std::string& name) const;

  absl::Status StartServers();
  absl::Status StartTesseraServers();
  absl::Status AwaitTesseraServer(int shard);
  absl::Status StartWorkers();
  absl::Status StartRoles(const char* role, const std::string& kind, int count,
                          std::vector<Member>& members);
  absl::Status Reset();
  // Makes all workers use this path from now on.
  absl::Status ConnectBy(Path path);

  absl::StatusOr<std::vector<nlohmann::json>> Command(
      const nlohmann::json& command);
  // Of a member: what it is part of, and its number.
  std::string NameOf(const std::string& kind, int index) const;
  absl::StatusOr<double> ServerCpuSeconds() const;

  const FabricOptions options_;
  uint64_t job_fingerprint_ = 0;
  std::vector<std::string> addresses_;
  std::vector<Member> servers_;
  std::vector<Member> workers_;
  Path connected_ = Path::kTcp;
  int64_t steps_since_reset_ = 0;
  int64_t max_steps_ = 0;
};

}  // namespace tessera::bench

#endif  // TESSERA_WORKER_BENCH_FABRIC_H_
