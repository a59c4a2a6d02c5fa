// One shard on the network: all of a server's gRPC services over a store and,
// on shard 0, a coordinator.

#ifndef TESSERA_SERVER_SERVICE_ENDPOINT_H_
#define TESSERA_SERVER_SERVICE_ENDPOINT_H_

#include <memory>
#include <string>
#include <thread>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/live_count.h"
#include "common/job/job.h"
#include "common/plan/shard_plan.h"
#include "common/rpc/credentials.h"
#include "common/rpc/listener.h"
#include "common/trace/trace.h"
#include "server/coordinator/coordinator.h"
#include "server/service/admin_handler.h"
#include "server/service/call_queues.h"
#include "server/service/control_service.h"
#include "server/service/coordinator_handler.h"
#include "server/service/health/health_service.h"
#include "server/service/parameter_handler.h"
#include "server/service/parameter_service.h"
#include "server/service/stream_loans.h"
#include "server/shard/shard_store.h"

namespace grpc {
class Server;
}
namespace grpc::experimental {
class ExternalConnectionAcceptor;
}

namespace tessera {

struct EndpointOptions {
  // "host:port"; port 0 takes any that is free.
  std::string listen = "127.0.0.1:0";
  ChannelSecurity security;
  CoordinatorOptions coordinator;
  // See CoordinatorHandler.
  ManifestTaker take_manifest;
  std::string device_name;
  // None by default.
  ServerMemory memory = {.why_not = "this server shares no memory"};
  // Records what is done with blocks, unless it is null.
  Tracer* tracer = nullptr;
};

// Serves from Start to Shutdown: the services of tessera.v1, the standard
// health service, and reflection. Start and Shutdown are for one thread.
class Endpoint {
 public:
  // `job` and `store` must outlive the endpoint, which sets the store's step
  // listener. `coordinator` is given for shard 0 and null for others. Codes:
  // those of ServerCredentials; UNAVAILABLE, naming the address, when it cannot
  // be listened on.
  static absl::StatusOr<std::unique_ptr<Endpoint>> Start(
      const Job& job, const ShardPlan& plan, int shard, ShardStore& store,
      std::unique_ptr<Coordinator> coordinator, EndpointOptions options);

  // Shuts down.
  ~Endpoint();

  // "host:port", with the port that is really listened on.
  const std::string& address() const { return address_; }

  // Null on other shards than 0.
  CoordinatorHandler* coordinator() { return coordinator_handler_.get(); }

  // For calls that this server makes; they must have ended before Shutdown.
  grpc::CompletionQueue& queue() { return queues_.any(); }

  // Ends every wait with UNAVAILABLE, and what has not ended after `grace` with
  // CANCELLED; shuts the store down. Repeats do nothing.
  void Shutdown(absl::Duration grace = absl::Seconds(1));

 private:
  Endpoint(const Job& job, const ShardPlan& plan, int shard, ShardStore& store,
           std::unique_ptr<Coordinator> coordinator, EndpointOptions& options);
  absl::Status Listen(const Job& job, const EndpointOptions& options);

  const ShardPlan plan_;
  ShardStore& store_;
  ParameterHandler parameter_handler_;
  // Null on other shards than 0.
  std::unique_ptr<CoordinatorHandler> coordinator_handler_;
  AdminHandler admin_handler_;
  const ServerMemory memory_;
  LiveCount live_calls_;
  ParameterService parameter_service_;
  ControlService control_service_;
  HealthService health_service_;
  CallQueues queues_;

  std::string address_;
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> acceptor_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<Listener> listener_;
  std::thread timer_;
};

}  // namespace tessera

#endif  // TESSERA_SERVER_SERVICE_ENDPOINT_H_
