#include "server/service/control_service.h"

#include <spdlog/spdlog.h>

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/rpc/byte_buffer.h"

namespace tessera {
namespace {

template <typename Request>
absl::StatusOr<Request> Parse(const FragmentedBytes& message) {
  std::string bytes(message.size(), '\0');
  message.CopyTo(bytes.data());
  Request request;
  if (request.ParseFromString(bytes)) return request;
  return absl::InvalidArgumentError(
      absl::StrCat("the message is not a ", request.GetTypeName()));
}

template <typename Response>
void Reply(const absl::StatusOr<Response>& response, const ReplyDone& done) {
  if (response.ok()) {
    done(MakeMessage(*response));
  } else {
    done(response.status());
  }
}

// A method that answers at once with handle(request).
template <typename Request, typename Handle>
ServeMessage AtOnce(Handle handle) {
  return [handle](const FragmentedBytes& message,
                  const ReplyDone& done) -> EndWait {
    const absl::StatusOr<Request> request = Parse<Request>(message);
    if (request.ok()) {
      Reply(handle(*request), done);
    } else {
      done(request.status());
    }
    return nullptr;
  };
}

// How to ask gRPC for a call of a raw method.
#define TESSERA_REQUEST(service, Method)                                     \
  [this](auto* context, auto* message, auto* responder, auto* queue,         \
         void* tag) {                                                        \
    service.Request##Method(context, message, responder, queue, queue, tag); \
  }

// A method that may wait: begin(request, done) gives the wait's ticket, and
// calls done(response).
template <typename Request, typename Begin>
ServeMessage Waiting(CoordinatorHandler* handler, Begin begin) {
  return [handler, begin](const FragmentedBytes& message,
                          const ReplyDone& done) -> EndWait {
    const absl::StatusOr<Request> request = Parse<Request>(message);
    if (!request.ok()) {
      done(request.status());
      return nullptr;
    }
    const uint64_t ticket = begin(
        *request, [done](const auto& response) { Reply(response, done); });
    return [handler, ticket] { handler->CancelWait(ticket); };
  };
}

absl::StatusOr<v1::JoinResponse> Join(CoordinatorHandler& handler,
                                      const v1::JoinRequest& request) {
  absl::StatusOr<v1::JoinResponse> joined = handler.Join(request);
  if (joined.ok()) {
    spdlog::info("worker {} joined ({})", joined->worker_id(), request.label());
  }
  return joined;
}

absl::StatusOr<v1::LeaveResponse> Leave(CoordinatorHandler& handler,
                                        const v1::LeaveRequest& request) {
  spdlog::info("worker {} leaves", request.worker_id());
  return handler.Leave(request);
}

}  // namespace

ControlService::ControlService(CoordinatorHandler* coordinator, int shard,
                               AdminHandler& admin, LiveCount& live_calls)
    : live_calls_(live_calls) {
  AddCoordinatorMethods(coordinator, shard);
  AddAdminMethods(admin);
}

void ControlService::AddCoordinatorMethods(CoordinatorHandler* handler,
                                           int shard) {
  const auto add = [&](auto request, ServeMessage serve) {
    if (handler == nullptr) {
      serve = [shard](const FragmentedBytes&, const ReplyDone& done) {
        done(NotTheCoordinator(shard));
        return nullptr;
      };
    }
    methods_.push_back({request, std::move(serve), &live_calls_});
  };
  add(TESSERA_REQUEST(coordination_, Join),
      AtOnce<v1::JoinRequest>(
          [handler](const auto& request) { return Join(*handler, request); }));
  add(TESSERA_REQUEST(coordination_, GetWork),
      Waiting<v1::GetWorkRequest>(
          handler, [handler](const auto& request, auto done) {
            return handler->GetWork(request, std::move(done));
          }));
  add(TESSERA_REQUEST(coordination_, Renew),
      AtOnce<v1::RenewRequest>(
          [handler](const auto& request) { return handler->Renew(request); }));
  add(TESSERA_REQUEST(coordination_, ReportEvaluation),
      AtOnce<v1::ReportEvaluationRequest>([handler](const auto& request) {
        return handler->ReportEvaluation(request);
      }));
  add(TESSERA_REQUEST(coordination_, Leave),
      AtOnce<v1::LeaveRequest>(
          [handler](const auto& request) { return Leave(*handler, request); }));
  add(TESSERA_REQUEST(coordination_, GetStatus),
      AtOnce<v1::GetStatusRequest>(
          [handler](const auto&) { return handler->GetStatus(); }));
  add(TESSERA_REQUEST(attendance_, Attend),
      Waiting<v1::AttendRequest>(
          handler, [handler](const auto& request, auto done) {
            return handler->Attend(request, std::move(done));
          }));
  add(TESSERA_REQUEST(administration_, WriteCheckpoint),
      Waiting<v1::WriteCheckpointRequest>(
          handler, [handler](const auto&, auto done) {
            spdlog::info("asked for a checkpoint");
            return handler->WriteCheckpoint(std::move(done));
          }));
}

void ControlService::AddAdminMethods(AdminHandler& handler) {
  const auto add = [&](auto request, ServeMessage serve) {
    methods_.push_back({request, std::move(serve), &live_calls_});
  };
  add(TESSERA_REQUEST(administration_, GetServerInfo),
      AtOnce<v1::GetServerInfoRequest>(
          [&handler](const auto&) -> absl::StatusOr<v1::GetServerInfoResponse> {
            return handler.GetServerInfo();
          }));
  add(TESSERA_REQUEST(administration_, StopJob),
      AtOnce<v1::StopJobRequest>([&handler](const auto& request) {
        spdlog::info("asked to stop the job: {}", request.reason());
        return handler.StopJob();
      }));
}

void ControlService::Register(grpc::ServerBuilder& builder) {
  builder.RegisterService(&coordination_);
  builder.RegisterService(&attendance_);
  builder.RegisterService(&administration_);
}

void ControlService::Await(grpc::ServerCompletionQueue& queue) {
  for (const UnaryCall::Method& method : methods_) {
    UnaryCall::Await(method, queue);
  }
}

}  // namespace tessera
