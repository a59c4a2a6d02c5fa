// The coordinator's and the admin service's glue to gRPC: thin.

#ifndef TESSERA_SERVER_SERVICE_CONTROL_SERVICES_H_
#define TESSERA_SERVER_SERVICE_CONTROL_SERVICES_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include "server/service/admin_handler.h"
#include "server/service/coordinator_handler.h"
#include "tessera/v1/admin.grpc.pb.h"
#include "tessera/v1/coordinator.grpc.pb.h"

namespace tessera {

class CoordinatorServiceGlue : public v1::CoordinatorService::CallbackService {
 public:
  // `handler` is null on a server other than shard 0's: all calls then fail
  // with NotTheCoordinator. It must outlive the service.
  CoordinatorServiceGlue(CoordinatorHandler* handler, int shard)
      : handler_(handler), shard_(shard) {}

  grpc::ServerUnaryReactor* Join(grpc::CallbackServerContext* context,
                                 const v1::JoinRequest* request,
                                 v1::JoinResponse* response) override;
  grpc::ServerUnaryReactor* GetWork(grpc::CallbackServerContext* context,
                                    const v1::GetWorkRequest* request,
                                    v1::GetWorkResponse* response) override;
  grpc::ServerUnaryReactor* Renew(grpc::CallbackServerContext* context,
                                  const v1::RenewRequest* request,
                                  v1::RenewResponse* response) override;
  grpc::ServerUnaryReactor* ReportEvaluation(
      grpc::CallbackServerContext* context,
      const v1::ReportEvaluationRequest* request,
      v1::ReportEvaluationResponse* response) override;
  grpc::ServerUnaryReactor* Leave(grpc::CallbackServerContext* context,
                                  const v1::LeaveRequest* request,
                                  v1::LeaveResponse* response) override;
  grpc::ServerUnaryReactor* GetStatus(grpc::CallbackServerContext* context,
                                      const v1::GetStatusRequest* request,
                                      v1::GetStatusResponse* response) override;

 private:
  template <typename Response, typename Call>
  grpc::ServerUnaryReactor* Answer(grpc::CallbackServerContext* context,
                                   Response* response, Call call);

  CoordinatorHandler* const handler_;
  const int shard_;
};

class AdminServiceGlue : public v1::AdminService::CallbackService {
 public:
  // The handler must outlive the service.
  explicit AdminServiceGlue(AdminHandler& handler) : handler_(handler) {}

  grpc::ServerUnaryReactor* GetServerInfo(
      grpc::CallbackServerContext* context,
      const v1::GetServerInfoRequest* request,
      v1::GetServerInfoResponse* response) override;
  grpc::ServerUnaryReactor* StopJob(grpc::CallbackServerContext* context,
                                    const v1::StopJobRequest* request,
                                    v1::StopJobResponse* response) override;

 private:
  AdminHandler& handler_;
};

}  // namespace tessera

#endif  // TESSERA_SERVER_SERVICE_CONTROL_SERVICES_H_
