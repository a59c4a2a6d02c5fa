#include "server/service/grpc_coordinator_link.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/support/async_unary_call.h>

#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/status_macros.h"
#include "common/rpc/call_status.h"
#include "common/rpc/completions.h"
#include "common/rpc/transport.h"

namespace tessera {
namespace {

// Beside the time that a call may wait on purpose.
constexpr absl::Duration kCallTimeout = absl::Seconds(10);

}  // namespace

struct GrpcCoordinatorLink::Call {
  grpc::ClientContext context;
  v1::AttendResponse response;
  grpc::Status status;
  std::unique_ptr<grpc::ClientAsyncResponseReader<v1::AttendResponse>> reader;
  // Under the link's mutex.
  bool ended = false;
};

absl::StatusOr<std::unique_ptr<GrpcCoordinatorLink>>
GrpcCoordinatorLink::Create(const std::string& address,
                            const ChannelSecurity& security,
                            grpc::CompletionQueue& queue) {
  TESSERA_ASSIGN_OR_RETURN(const auto channel, Connect(address, security, {}));
  return absl::WrapUnique(new GrpcCoordinatorLink(
      address, v1::ShardService::NewStub(channel), queue));
}

GrpcCoordinatorLink::GrpcCoordinatorLink(
    std::string address, std::unique_ptr<v1::ShardService::Stub> stub,
    grpc::CompletionQueue& queue)
    : address_(std::move(address)), stub_(std::move(stub)), queue_(queue) {}

absl::StatusOr<v1::AttendResponse> GrpcCoordinatorLink::Attend(
    const v1::AttendRequest& request) {
  const auto call = std::make_shared<Call>();
  call->context.set_deadline(absl::ToChronoTime(
      absl::Now() + kCallTimeout + absl::Milliseconds(request.wait_ms())));
  {
    MutexLock lock(&mutex_);
    if (std::exchange(interrupted_, false)) {
      return absl::CancelledError("the call was interrupted");
    }
    call_ = call;
  }
  call->reader = stub_->AsyncAttend(&call->context, request, &queue_);
  call->reader->Finish(&call->response, &call->status,
                       MakeTag([this, call](bool) {
                         MutexLock lock(&mutex_);
                         call->ended = true;
                       }));
  MutexLock lock(&mutex_);
  mutex_.Await([&call]() { return call->ended; });
  call_.reset();
  return Result(*call, std::exchange(interrupted_, false));
}

absl::StatusOr<v1::AttendResponse> GrpcCoordinatorLink::Result(
    const Call& call, bool interrupted) const {
  const absl::Status status = FromGrpcStatus(call.status);
  if (status.ok()) return call.response;
  // CANCELLED is to mean one thing only.
  const absl::StatusCode code = absl::IsCancelled(status) && !interrupted
                                    ? absl::StatusCode::kUnavailable
                                    : status.code();
  return absl::Status(
      code, absl::StrCat("coordinator ", address_, ": ", status.message()));
}

void GrpcCoordinatorLink::Interrupt() {
  MutexLock lock(&mutex_);
  interrupted_ = true;
  if (call_ != nullptr) call_->context.TryCancel();
}

}  // namespace tessera
