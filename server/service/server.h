// A whole server: one shard of a job on a device, served over gRPC.

#ifndef TESSERA_SERVER_SERVICE_SERVER_H_
#define TESSERA_SERVER_SERVICE_SERVER_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/device/device.h"
#include "common/device/make_device.h"
#include "common/job/job.h"
#include "common/plan/shard_plan.h"
#include "common/rpc/credentials.h"
#include "common/shm/shm_use.h"
#include "common/storage/posix_storage.h"
#include "common/storage/storage.h"
#include "common/trace/trace.h"
#include "server/coordinator/options.h"
#include "server/service/checkpoint_keeper.h"
#include "server/service/coordinator_link.h"
#include "server/service/endpoint.h"
#include "server/service/shard_agent.h"
#include "server/shard/shard_store.h"

namespace tessera {

struct ServerOptions {
  int shard = 0;
  int shard_count = 1;
  // "host:port"; port 0 takes any that is free.
  std::string listen = "127.0.0.1:0";
  // Its name: see MakeDevice.
  std::string device = "auto";
  ChannelSecurity security;
  // With workers on the same machine.
  ShmUse shared_memory = ShmUse::kAuto;
  // Of the coordinator, which shard 0's server has.
  absl::Duration lease = absl::Seconds(10);
  uint64_t first_worker_id = 1;
  // See CoordinatorOptions.
  int64_t generation_floor = 0;

  // Whether this server, as all others of the job then, attends the
  // coordinator: it serves when that says so, and recovers with the others.
  bool servers_attend = false;
  // Shard 0's server, "host:port": for other shards that attend.
  std::string coordinator;
  // A folder that all of the job's servers share; empty for no checkpoints. For
  // servers that attend.
  std::string checkpoint_dir;
  // Of the checkpoints; null for the file system. Must outlive the server.
  Storage* storage = nullptr;
  // See ShardAgentOptions.
  std::function<void(const absl::Status&)> on_refused;

  // Records what is done with blocks, unless it is null; must outlive the
  // server.
  Tracer* tracer = nullptr;
};

// What a server is made of. Who takes the defaults links their libraries.
struct ServerParts {
  decltype(&MakeDevice) make_device = MakeDevice;
  decltype(&ShardStore::Create) make_store = ShardStore::Create;
};

// Serves from Start to Shutdown or destruction. For one thread.
class Server {
 public:
  // Codes: INVALID_ARGUMENT for a shard that the job does not have, or options
  // that do not go together; those of MakeDevice, MakeServerMemory,
  // ShardStore::Create, Endpoint::Start and, with checkpoints, of
  // FindRestorePoints.
  static absl::StatusOr<std::unique_ptr<Server>> Start(
      Job job, const ServerOptions& options, const ServerParts& parts = {});

  // "host:port", with the port that is really listened on.
  const std::string& address() const { return endpoint_->address(); }
  std::string device_name() const { return device_->name(); }
  const Job& job() const { return job_; }
  const ShardPlan& plan() const { return plan_; }
  ShardStore& store() { return *store_; }

  // See Endpoint::Shutdown; gives up a restore or the writing of a checkpoint.
  void Shutdown();
  ~Server();

 private:
  Server(Job job, const ShardPlan& plan, std::unique_ptr<Device> device,
         const ServerOptions& options);

  absl::Status Listen(const ServerOptions& options, const ServerParts& parts);
  absl::StatusOr<CoordinatorOptions> MakeCoordinatorOptions(
      const ServerOptions& options);
  void MakeKeeper(const std::string& root,
                  const std::vector<RestorePoint>& there);
  absl::Status Attend(const ServerOptions& options);

  const Job job_;
  const ShardPlan plan_;
  const std::unique_ptr<Device> device_;
  PosixStorage file_system_;
  Storage& storage_;
  std::unique_ptr<ShardStore> store_;
  // On shard 0, with checkpoints.
  std::unique_ptr<CheckpointKeeper> keeper_;
  std::unique_ptr<Endpoint> endpoint_;
  // Where servers attend.
  std::unique_ptr<CoordinatorLink> link_;
  std::unique_ptr<ShardAgent> agent_;
};

}  // namespace tessera

#endif  // TESSERA_SERVER_SERVICE_SERVER_H_
