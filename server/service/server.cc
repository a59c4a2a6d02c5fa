#include "server/service/server.h"

#include <random>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/status_macros.h"
#include "server/checkpoint/format.h"
#include "server/coordinator/coordinator.h"
#include "server/service/grpc_coordinator_link.h"
#include "server/service/local_coordinator_link.h"
#include "server/service/server_memory.h"

namespace tessera {
namespace {

// Names one life of a server, or one attempt at a checkpoint, among all.
uint64_t DrawId() {
  std::random_device random;
  uint64_t id = 0;
  while (id == 0) id = (uint64_t{random()} << 32) | random();
  return id;
}

std::string FolderOf(const std::string& root, int64_t version,
                     uint64_t set_id) {
  return JoinPath(root, SetFolderName(version, CheckpointSetId(set_id)));
}

absl::Status CheckOptions(const ServerOptions& options) {
  if (options.shard < 0 || options.shard >= options.shard_count) {
    return absl::InvalidArgumentError(
        absl::StrCat("shard ", options.shard, ": with ", options.shard_count,
                     " shards it must be from 0 to ", options.shard_count - 1));
  }
  if (options.servers_attend && options.shard > 0 &&
      options.coordinator.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("shard ", options.shard,
                     ": needs the coordinator's address, shard 0's server"));
  }
  if (!options.servers_attend && !options.checkpoint_dir.empty()) {
    return absl::InvalidArgumentError(
        "checkpoints are made by servers that attend their coordinator");
  }
  return absl::OkStatus();
}

}  // namespace

Server::Server(Job job, const ShardPlan& plan, std::unique_ptr<Device> device,
               const ServerOptions& options)
    : job_(std::move(job)),
      plan_(plan),
      device_(std::move(device)),
      storage_(options.storage != nullptr ? *options.storage : file_system_) {}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(
    Job job, const ServerOptions& options, const ServerParts& parts) {
  TESSERA_ASSIGN_OR_RETURN(
      ShardPlan plan,
      ShardPlan::Create(job.layout().total_elements(), options.shard_count,
                        job.block_bytes()));
  TESSERA_RETURN_IF_ERROR(CheckOptions(options));
  TESSERA_ASSIGN_OR_RETURN(std::unique_ptr<Device> device,
                           parts.make_device(options.device));
  auto server = absl::WrapUnique(
      new Server(std::move(job), plan, std::move(device), options));
  TESSERA_RETURN_IF_ERROR(server->Listen(options, parts));
  if (options.servers_attend) TESSERA_RETURN_IF_ERROR(server->Attend(options));
  return server;
}

absl::StatusOr<CoordinatorOptions> Server::MakeCoordinatorOptions(
    const ServerOptions& options) {
  CoordinatorOptions coordinator = {
      .lease = options.lease,
      .first_worker_id = options.first_worker_id,
      .generation_floor = options.generation_floor,
      .shard_count = options.shard_count,
      .servers_attend = options.servers_attend,
      .draw_set_id = DrawId};
  const std::string& root = options.checkpoint_dir;
  if (root.empty()) return coordinator;
  coordinator.makes_checkpoints = true;
  TESSERA_ASSIGN_OR_RETURN(coordinator.restore_points,
                           FindRestorePoints(storage_, root, job_));
  coordinator.describe_set = [root](int64_t version, uint64_t set_id) {
    return FolderOf(root, version, set_id);
  };
  return coordinator;
}

void Server::MakeKeeper(const std::string& root,
                        const std::vector<RestorePoint>& there) {
  CheckpointKeeper::Options options = {.root = root, .clock = absl::Now};
  if (!there.empty()) {
    options.newest = SetFolderName(there.front().version,
                                   CheckpointSetId(there.front().set_id));
  }
  keeper_ =
      std::make_unique<CheckpointKeeper>(job_, storage_, std::move(options));
}

absl::Status Server::Listen(const ServerOptions& options,
                            const ServerParts& parts) {
  TESSERA_ASSIGN_OR_RETURN(
      ServerMemory memory,
      MakeServerMemory(options.shared_memory,
                       plan_.ShardElements(options.shard).size() *
                           static_cast<int64_t>(sizeof(float))));
  TESSERA_ASSIGN_OR_RETURN(
      store_, parts.make_store(job_, plan_, options.shard, *device_, nullptr,
                               memory.region));
  // Until the coordinator says where to start from.
  if (options.servers_attend) store_->Suspend();

  EndpointOptions endpoint = {.listen = options.listen,
                              .security = options.security,
                              .device_name = device_->name(),
                              .memory = std::move(memory),
                              .tracer = options.tracer};
  std::unique_ptr<Coordinator> coordinator;
  if (options.shard == 0) {
    TESSERA_ASSIGN_OR_RETURN(endpoint.coordinator,
                             MakeCoordinatorOptions(options));
    coordinator = Coordinator::Create(job_, endpoint.coordinator);
  }
  if (endpoint.coordinator.makes_checkpoints) {
    MakeKeeper(options.checkpoint_dir, endpoint.coordinator.restore_points);
    endpoint.take_manifest = [this](v1::CheckpointManifest manifest) {
      keeper_->Take(std::move(manifest));
    };
  }
  TESSERA_ASSIGN_OR_RETURN(
      endpoint_, Endpoint::Start(job_, plan_, options.shard, *store_,
                                 std::move(coordinator), std::move(endpoint)));
  return absl::OkStatus();
}

absl::Status Server::Attend(const ServerOptions& options) {
  CoordinatorHandler* const coordinator = endpoint_->coordinator();
  if (coordinator != nullptr) {
    link_ = std::make_unique<LocalCoordinatorLink>(*coordinator);
  } else {
    TESSERA_ASSIGN_OR_RETURN(
        link_, GrpcCoordinatorLink::Create(
                   options.coordinator, options.security, endpoint_->queue()));
  }
  if (keeper_ != nullptr) {
    keeper_->Start([coordinator](uint64_t set_id, const absl::Status& status,
                                 int64_t bytes) {
      coordinator->OnManifestWritten(set_id, status, bytes);
    });
  }
  agent_ = std::make_unique<ShardAgent>(
      job_, plan_, *store_, *link_, storage_,
      ShardAgentOptions{.identity = {.job_fingerprint = job_.fingerprint(),
                                     .shard = options.shard,
                                     .shard_count = options.shard_count,
                                     .incarnation = DrawId(),
                                     .address = endpoint_->address()},
                        .checkpoint_dir = options.checkpoint_dir,
                        .on_refused = options.on_refused});
  agent_->Start();
  return absl::OkStatus();
}

void Server::Shutdown() {
  if (agent_ != nullptr) agent_->Stop();
  if (keeper_ != nullptr) keeper_->Stop();
  if (endpoint_ != nullptr) endpoint_->Shutdown();
}

Server::~Server() { Shutdown(); }

}  // namespace tessera
