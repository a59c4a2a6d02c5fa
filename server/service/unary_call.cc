#include "server/service/unary_call.h"

#include <utility>

#include "common/rpc/byte_buffer.h"
#include "common/rpc/call_status.h"
#include "common/rpc/completions.h"

namespace tessera {

void UnaryCall::Await(const Method& method,
                      grpc::ServerCompletionQueue& queue) {
  auto call = std::make_shared<UnaryCall>(method, queue);
  call->end_tag_ = MakeTag([call](bool) { call->OnEnd(); });
  call->context_.AsyncNotifyWhenDone(call->end_tag_);
  method.request(&call->context_, &call->request_, &call->responder_, &queue,
                 MakeTag([call](bool ok) { call->OnBegin(ok); }));
}

void UnaryCall::OnBegin(bool ok) {
  if (!ok) {
    // The server is shutting down; this call will have no end either.
    DropTag(end_tag_);
    return;
  }
  token_ = LiveCount::Token(*method_.live_calls);
  Await(method_, queue_);
  const ReceivedMessage message(request_);
  const std::optional<PullTicket> ticket =
      method_.serve(*method_.handler, message.bytes(),
                    [self = shared_from_this()](auto reply) {
                      self->Reply(std::move(reply));
                    });
  if (!ticket) return;
  {
    MutexLock lock(&mutex_);
    ticket_ = ticket;
    if (!cancelled_) return;
  }
  method_.handler->Cancel(*ticket);
}

void UnaryCall::OnEnd() {
  if (!context_.IsCancelled()) return;
  std::optional<PullTicket> ticket;
  {
    MutexLock lock(&mutex_);
    cancelled_ = true;
    ticket = ticket_;
  }
  if (ticket) method_.handler->Cancel(*ticket);
}

void UnaryCall::Reply(absl::StatusOr<grpc::ByteBuffer> reply) {
  void* tag = MakeTag([self = shared_from_this()](bool) {});
  if (reply.ok()) {
    responder_.Finish(*reply, grpc::Status::OK, tag);
  } else {
    responder_.FinishWithError(ToGrpcStatus(reply.status()), tag);
  }
}

}  // namespace tessera
