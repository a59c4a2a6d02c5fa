#include "server/service/server.h"

#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/device/make_device.h"
#include "server/coordinator/coordinator.h"
#include "server/service/server_memory.h"

namespace tessera {

absl::StatusOr<std::unique_ptr<Server>> Server::Start(
    Job job, const ServerOptions& options) {
  TESSERA_ASSIGN_OR_RETURN(
      ShardPlan plan,
      ShardPlan::Create(job.layout().total_elements(), options.shard_count,
                        job.block_bytes()));
  if (options.shard < 0 || options.shard >= options.shard_count) {
    return absl::InvalidArgumentError(
        absl::StrCat("shard ", options.shard, ": with ", options.shard_count,
                     " shards it must be from 0 to ", options.shard_count - 1));
  }
  TESSERA_ASSIGN_OR_RETURN(std::unique_ptr<Device> device,
                           MakeDevice(options.device));
  auto server =
      absl::WrapUnique(new Server(std::move(job), plan, std::move(device)));
  TESSERA_ASSIGN_OR_RETURN(
      ServerMemory memory,
      MakeServerMemory(options.shared_memory,
                       plan.ShardElements(options.shard).size() *
                           static_cast<int64_t>(sizeof(float))));
  TESSERA_ASSIGN_OR_RETURN(
      server->store_,
      ShardStore::Create(server->job_, server->plan_, options.shard,
                         *server->device_, nullptr, memory.region));
  const CoordinatorOptions coordinator_options{
      .lease = options.lease,
      .first_worker_id = options.first_worker_id,
      .shard_count = options.shard_count};
  std::unique_ptr<Coordinator> coordinator;
  if (options.shard == 0) {
    coordinator = Coordinator::Create(server->job_, coordinator_options);
  }
  TESSERA_ASSIGN_OR_RETURN(
      server->endpoint_,
      Endpoint::Start(server->job_, server->plan_, options.shard,
                      *server->store_, std::move(coordinator),
                      {.listen = options.listen,
                       .security = options.security,
                       .coordinator = coordinator_options,
                       .device_name = server->device_->name(),
                       .memory = std::move(memory),
                       .tracer = options.tracer}));
  return server;
}

}  // namespace tessera
