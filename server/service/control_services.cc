#include "server/service/control_services.h"

#include <spdlog/spdlog.h>

#include <atomic>
#include <utility>

#include "common/rpc/call_status.h"

namespace tessera {
namespace {

// Ends a call with what its handler gave.
template <typename Response>
grpc::ServerUnaryReactor* Finish(grpc::CallbackServerContext* context,
                                 absl::StatusOr<Response> result,
                                 Response* response) {
  if (result.ok()) *response = *std::move(result);
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(ToGrpcStatus(result.status()));
  return reactor;
}

// A GetWork that may wait.
class GetWorkReactor : public grpc::ServerUnaryReactor {
 public:
  GetWorkReactor(CoordinatorHandler& handler, const v1::GetWorkRequest& request,
                 v1::GetWorkResponse* response)
      : handler_(handler) {
    ticket_ = handler.GetWork(
        request, [this, response](absl::StatusOr<v1::GetWorkResponse> work) {
          if (work.ok()) *response = *std::move(work);
          Finish(ToGrpcStatus(work.status()));
        });
  }

  // Neither is called before the constructor has returned. ThreadSanitizer
  // cannot see that in gRPC, but in the ticket.
  void OnCancel() override {
    const uint64_t ticket = ticket_;
    handler_.CancelWait(ticket);
  }
  void OnDone() override {
    (void)ticket_.load();
    delete this;
  }

 private:
  CoordinatorHandler& handler_;
  std::atomic<uint64_t> ticket_ = 0;  // Written last.
};

}  // namespace

template <typename Response, typename Call>
grpc::ServerUnaryReactor* CoordinatorServiceGlue::Answer(
    grpc::CallbackServerContext* context, Response* response, Call call) {
  if (handler_ == nullptr) {
    return Finish<Response>(context, NotTheCoordinator(shard_), response);
  }
  return Finish<Response>(context, call(*handler_), response);
}

grpc::ServerUnaryReactor* CoordinatorServiceGlue::Join(
    grpc::CallbackServerContext* context, const v1::JoinRequest* request,
    v1::JoinResponse* response) {
  return Answer(context, response, [request](CoordinatorHandler& handler) {
    absl::StatusOr<v1::JoinResponse> joined = handler.Join(*request);
    if (joined.ok()) {
      spdlog::info("worker {} joined ({})", joined->worker_id(),
                   request->label());
    }
    return joined;
  });
}

grpc::ServerUnaryReactor* CoordinatorServiceGlue::GetWork(
    grpc::CallbackServerContext* context, const v1::GetWorkRequest* request,
    v1::GetWorkResponse* response) {
  if (handler_ == nullptr) {
    return Finish<v1::GetWorkResponse>(context, NotTheCoordinator(shard_),
                                       response);
  }
  return new GetWorkReactor(*handler_, *request, response);
}

grpc::ServerUnaryReactor* CoordinatorServiceGlue::Renew(
    grpc::CallbackServerContext* context, const v1::RenewRequest* request,
    v1::RenewResponse* response) {
  return Answer(context, response, [request](CoordinatorHandler& handler) {
    return handler.Renew(*request);
  });
}

grpc::ServerUnaryReactor* CoordinatorServiceGlue::ReportEvaluation(
    grpc::CallbackServerContext* context,
    const v1::ReportEvaluationRequest* request,
    v1::ReportEvaluationResponse* response) {
  return Answer(context, response, [request](CoordinatorHandler& handler) {
    return handler.ReportEvaluation(*request);
  });
}

grpc::ServerUnaryReactor* CoordinatorServiceGlue::Leave(
    grpc::CallbackServerContext* context, const v1::LeaveRequest* request,
    v1::LeaveResponse* response) {
  spdlog::info("worker {} leaves", request->worker_id());
  return Answer(context, response, [request](CoordinatorHandler& handler) {
    return handler.Leave(*request);
  });
}

grpc::ServerUnaryReactor* CoordinatorServiceGlue::GetStatus(
    grpc::CallbackServerContext* context, const v1::GetStatusRequest*,
    v1::GetStatusResponse* response) {
  return Answer(context, response, [](CoordinatorHandler& handler) {
    return handler.GetStatus();
  });
}

grpc::ServerUnaryReactor* AdminServiceGlue::GetServerInfo(
    grpc::CallbackServerContext* context, const v1::GetServerInfoRequest*,
    v1::GetServerInfoResponse* response) {
  return Finish<v1::GetServerInfoResponse>(context, handler_.GetServerInfo(),
                                           response);
}

grpc::ServerUnaryReactor* AdminServiceGlue::StopJob(
    grpc::CallbackServerContext* context, const v1::StopJobRequest* request,
    v1::StopJobResponse* response) {
  spdlog::info("asked to stop the job: {}", request->reason());
  return Finish(context, handler_.StopJob(), response);
}

}  // namespace tessera
