// A whole server: one shard of a job on a device, served over gRPC.

#ifndef TESSERA_SERVER_SERVICE_SERVER_H_
#define TESSERA_SERVER_SERVICE_SERVER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/device/device.h"
#include "common/job/job.h"
#include "common/plan/shard_plan.h"
#include "common/rpc/credentials.h"
#include "common/shm/shm_use.h"
#include "common/trace/trace.h"
#include "server/service/endpoint.h"
#include "server/shard/shard_store.h"

namespace tessera {

struct ServerOptions {
  int shard = 0;
  int shard_count = 1;
  // "host:port"; port 0 takes any that is free.
  std::string listen = "127.0.0.1:0";
  // See MakeDevice.
  std::string device = "auto";
  ChannelSecurity security;
  // With workers on the same machine.
  ShmUse shared_memory = ShmUse::kAuto;
  // Of the coordinator, which shard 0's server has.
  absl::Duration lease = absl::Seconds(10);
  uint64_t first_worker_id = 1;
  // Records what is done with blocks, unless it is null; must outlive the
  // server.
  Tracer* tracer = nullptr;
};

// Serves from Start to Shutdown or destruction. For one thread.
class Server {
 public:
  // Codes: INVALID_ARGUMENT for a shard that the job does not have; those of
  // MakeDevice, MakeServerMemory, ShardStore::Create and Endpoint::Start.
  static absl::StatusOr<std::unique_ptr<Server>> Start(
      Job job, const ServerOptions& options);

  // "host:port", with the port that is really listened on.
  const std::string& address() const { return endpoint_->address(); }
  std::string device_name() const { return device_->name(); }
  const Job& job() const { return job_; }
  const ShardPlan& plan() const { return plan_; }
  ShardStore& store() { return *store_; }

  // See Endpoint::Shutdown.
  void Shutdown() { endpoint_->Shutdown(); }

 private:
  Server(Job job, const ShardPlan& plan, std::unique_ptr<Device> device)
      : job_(std::move(job)), plan_(plan), device_(std::move(device)) {}

  const Job job_;
  const ShardPlan plan_;
  const std::unique_ptr<Device> device_;
  std::unique_ptr<ShardStore> store_;
  std::unique_ptr<Endpoint> endpoint_;
};

}  // namespace tessera

#endif  // TESSERA_SERVER_SERVICE_SERVER_H_
