#include "server/service/endpoint.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/status_macros.h"
#include "common/rpc/listener.h"
#include "common/rpc/transport.h"

namespace tessera {
namespace {

absl::Status Stopping() {
  return absl::UnavailableError("the server is stopping");
}

// Twice what a worker that holds every range of two steps could have waiting.
size_t MaxCallsPerStream(const Job& job, const ShardPlan& plan, int shard) {
  const int64_t blocks = plan.ShardBlocks(shard).size();
  return static_cast<size_t>(4 * blocks * job.microbatches());
}

// Two versions of every block, as a worker has them.
size_t MaxLentPerStream(const ShardPlan& plan, int shard) {
  return static_cast<size_t>(2 * plan.ShardBlocks(shard).size());
}

std::unique_ptr<CoordinatorHandler> MakeCoordinatorHandler(
    const Job& job, std::unique_ptr<Coordinator> coordinator,
    const EndpointOptions& options) {
  if (coordinator == nullptr) return nullptr;
  return std::make_unique<CoordinatorHandler>(job, std::move(coordinator),
                                              options.coordinator, absl::Now,
                                              options.take_manifest);
}

// Says what to do where an address cannot be listened on.
absl::Status CannotListen(const absl::Status& why) {
  return absl::Status(
      why.code(),
      absl::StrCat(why.message(),
                   ": is the port in use, or the address not this machine's? "
                   "Give another one with --listen=HOST:PORT; port 0 takes any "
                   "that is free"));
}

std::string WithPort(const std::string& address, int port) {
  return absl::StrCat(address.substr(0, address.rfind(':')), ":", port);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Endpoint>> Endpoint::Start(
    const Job& job, const ShardPlan& plan, int shard, ShardStore& store,
    std::unique_ptr<Coordinator> coordinator, EndpointOptions options) {
  auto endpoint = absl::WrapUnique(
      new Endpoint(job, plan, shard, store, std::move(coordinator), options));
  TESSERA_RETURN_IF_ERROR(endpoint->Listen(job, options));
  return endpoint;
}

Endpoint::Endpoint(const Job& job, const ShardPlan& plan, int shard,
                   ShardStore& store, std::unique_ptr<Coordinator> coordinator,
                   EndpointOptions& options)
    : plan_(plan),
      store_(store),
      parameter_handler_(job, plan_, shard, store, options.tracer),
      coordinator_handler_(
          MakeCoordinatorHandler(job, std::move(coordinator), options)),
      admin_handler_({.job = job,
                      .plan = plan_,
                      .shard = shard,
                      .device_name = options.device_name,
                      .store = store,
                      .parameters = parameter_handler_,
                      .coordinator = coordinator_handler_.get()}),
      memory_(std::move(options.memory)),
      parameter_service_(
          parameter_handler_, memory_,
          {.calls_per_stream = MaxCallsPerStream(job, plan_, shard),
           .lent_per_stream = MaxLentPerStream(plan_, shard)},
          live_calls_),
      control_service_(coordinator_handler_.get(), shard, admin_handler_,
                       live_calls_),
      health_service_(live_calls_) {
  if (coordinator_handler_ == nullptr) return;
  store_.SetStepListener(
      [this](int64_t generation, int64_t step, double mean_loss) {
        coordinator_handler_->OnStepApplied(generation, step, mean_loss);
      });
}

absl::Status Endpoint::Listen(const Job& job, const EndpointOptions& options) {
  TESSERA_ASSIGN_OR_RETURN(auto credentials,
                           ServerCredentials(options.security, options.listen));
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  ConfigureServer({.block_bytes = job.block_bytes()}, builder);
  auto listener = Listener::Bind(options.listen);
  if (!listener.ok()) return CannotListen(listener.status());
  acceptor_ = builder.experimental().AddExternalConnectionAcceptor(
      grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD,
      credentials);
  parameter_service_.Register(builder);
  control_service_.Register(builder);
  health_service_.Register(builder);
  queues_.Register(builder);
  server_ = builder.BuildAndStart();
  if (server_ == nullptr) {
    return absl::InternalError("gRPC cannot start a server; see its log");
  }
  listener_ = *std::move(listener);
  address_ = WithPort(options.listen, listener_->port());
  queues_.Start([this](grpc::ServerCompletionQueue& queue) {
    parameter_service_.Await(queue);
    control_service_.Await(queue);
    health_service_.Await(queue);
  });
  listener_->Start([this](int fd) {
    grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters
        connection;
    connection.fd = fd;
    acceptor_->HandleNewConnection(&connection);
  });
  if (coordinator_handler_ != nullptr) {
    timer_ = std::thread([this] { coordinator_handler_->RunTimer(); });
  }
  return absl::OkStatus();
}

void Endpoint::Shutdown(absl::Duration grace) {
  listener_.reset();
  if (server_ != nullptr) {
    health_service_.StopServing();
    store_.Shutdown();
    if (coordinator_handler_ != nullptr) coordinator_handler_->Stop();
    parameter_service_.EndStreams(Stopping());
    server_->Shutdown(absl::ToChronoTime(absl::Now() + grace));
  }
  // Calls may start operations as long as they live.
  live_calls_.AwaitNone();
  queues_.Finish();
  server_.reset();
  parameter_handler_.AwaitBlocksReturned();
  if (timer_.joinable()) timer_.join();
}

Endpoint::~Endpoint() { Shutdown(); }

}  // namespace tessera
