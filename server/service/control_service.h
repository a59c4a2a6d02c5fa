// The coordinator's, the shard and the admin service's glue to gRPC: thin.

#ifndef TESSERA_SERVER_SERVICE_CONTROL_SERVICE_H_
#define TESSERA_SERVER_SERVICE_CONTROL_SERVICE_H_

#include <grpcpp/completion_queue.h>
#include <grpcpp/server_builder.h>

#include <vector>

#include "common/base/live_count.h"
#include "server/service/admin_handler.h"
#include "server/service/coordinator_handler.h"
#include "server/service/unary_call.h"
#include "tessera/v1/admin.grpc.pb.h"
#include "tessera/v1/coordinator.grpc.pb.h"
#include "tessera/v1/shard.grpc.pb.h"

namespace tessera {

// In this order, by one thread: construct, Register, build the server, Await
// for each queue, shut the server down, await the end of all live calls,
// destroy.
class ControlService {
 public:
  // `coordinator` is null on a server other than shard 0's: its calls then fail
  // with NotTheCoordinator. All must outlive the service and its calls, which
  // count in `live_calls`.
  ControlService(CoordinatorHandler* coordinator, int shard,
                 AdminHandler& admin, LiveCount& live_calls);

  void Register(grpc::ServerBuilder& builder);

  // Serves the calls that come in on this queue.
  void Await(grpc::ServerCompletionQueue& queue);

 private:
  // Messages travel as bytes, so that one class serves all services' calls.
  using Coordination = v1::CoordinatorService::WithRawMethod_Join<
      v1::CoordinatorService::WithRawMethod_GetWork<
          v1::CoordinatorService::WithRawMethod_Renew<
              v1::CoordinatorService::WithRawMethod_ReportEvaluation<
                  v1::CoordinatorService::WithRawMethod_Leave<
                      v1::CoordinatorService::WithRawMethod_GetStatus<
                          v1::CoordinatorService::Service>>>>>>;
  using Attendance =
      v1::ShardService::WithRawMethod_Attend<v1::ShardService::Service>;
  using Administration = v1::AdminService::WithRawMethod_GetServerInfo<
      v1::AdminService::WithRawMethod_StopJob<
          v1::AdminService::WithRawMethod_WriteCheckpoint<
              v1::AdminService::Service>>>;

  // Methods that only the coordinator's server has.
  void AddCoordinatorMethods(CoordinatorHandler* handler, int shard);
  void AddAdminMethods(AdminHandler& handler);

  LiveCount& live_calls_;
  Coordination coordination_;
  Attendance attendance_;
  Administration administration_;
  std::vector<UnaryCall::Method> methods_;
};

}  // namespace tessera

#endif  // TESSERA_SERVER_SERVICE_CONTROL_SERVICE_H_
