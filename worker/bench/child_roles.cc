#include "worker/bench/child_roles.h"

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "worker/bench/baseline/server.h"
#include "worker/bench/bench_job.h"
#include "worker/bench/child_setup.h"
#include "worker/bench/control.h"
#include "worker/bench/raw_tcp/server.h"
#include "worker/bench/worker_role.h"

namespace tessera::bench {
namespace {

absl::Status RunRawServer(const ChildSetup& setup, ControlLink& parent) {
  TESSERA_ASSIGN_OR_RETURN(const ShardPlan plan, setup.Plan());
  TESSERA_ASSIGN_OR_RETURN(const Socket listener, Listen("127.0.0.1:0"));
  TESSERA_ASSIGN_OR_RETURN(const std::string address, AddressOf(listener));
  TESSERA_RETURN_IF_ERROR(parent.Send({{"address", address}}));
  const absl::Status status = ServeRawTcp(
      listener, plan,
      {.shard = setup.index, .workers = setup.workers, .unit = setup.unit()});
  // The workers are gone.
  return absl::IsUnavailable(status) ? absl::OkStatus() : status;
}

absl::Status RunBaselineServer(const ChildSetup& setup, ControlLink& parent) {
  TESSERA_ASSIGN_OR_RETURN(const ShardPlan plan, setup.Plan());
  TESSERA_ASSIGN_OR_RETURN(
      const auto server, BaselineServer::Start(plan, {.shard = setup.index,
                                                      .workers = setup.workers,
                                                      .unit = setup.unit()}));
  TESSERA_RETURN_IF_ERROR(parent.Send({{"address", server->address()}}));
  // Until the parent closes the link.
  (void)parent.Receive();
  return absl::OkStatus();
}

absl::Status RunRole(const std::string& role, const ChildSetup& setup,
                     ControlLink& parent) {
  if (role == kRawServerRole) return RunRawServer(setup, parent);
  if (role == kBaselineServerRole) return RunBaselineServer(setup, parent);
  if (role == kWorkerRole || role == kPlainWorkerRole) {
    return RunWorkerRole(setup, parent);
  }
  return absl::InternalError(absl::StrCat("unknown role ", role));
}

}  // namespace

bool KeepsFreedMemory(const std::string& role) {
  return role != kPlainWorkerRole && role != kBaselineServerRole;
}

absl::Status ServeRawAt(const std::string& address, int shard,
                        const Setting& setting) {
  const ChildSetup setup{.index = shard,
                         .elements = setting.elements(),
                         .block_bytes = setting.message_bytes,
                         .shard_count = setting.shape.servers,
                         .workers = setting.shape.workers,
                         .rate = kLearningRate};
  if (shard < 0 || shard >= setup.shard_count) {
    return absl::InvalidArgumentError(
        absl::StrCat("--shard: ", shard, " of ", setup.shard_count));
  }
  TESSERA_ASSIGN_OR_RETURN(const ShardPlan plan, setup.Plan());
  TESSERA_ASSIGN_OR_RETURN(const Socket listener, Listen(address));
  while (true) {
    TESSERA_RETURN_IF_ERROR(ServeRawTcp(
        listener, plan,
        {.shard = shard, .workers = setup.workers, .unit = setup.unit()}));
  }
}

absl::Status RunChild(const std::string& role, int control_fd) {
  ControlLink parent{Socket(control_fd)};
  TESSERA_ASSIGN_OR_RETURN(const nlohmann::json message, parent.Receive());
  TESSERA_ASSIGN_OR_RETURN(const ChildSetup setup, SetupFromJson(message));
  const absl::Status status = RunRole(role, setup, parent);
  if (!status.ok()) (void)parent.Send(ErrorToJson(status));
  return status;
}

}  // namespace tessera::bench
