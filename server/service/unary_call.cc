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
  EndWait end_wait =
      method_.serve(message.bytes(), [self = shared_from_this()](auto reply) {
        self->Reply(std::move(reply));
      });
  if (end_wait == nullptr) return;
  {
    MutexLock lock(&mutex_);
    end_wait_ = end_wait;
    if (!cancelled_) return;
  }
  end_wait();
}

void UnaryCall::OnEnd() {
  if (!context_.IsCancelled()) return;
  EndWait end_wait;
  {
    MutexLock lock(&mutex_);
    cancelled_ = true;
    end_wait = end_wait_;
  }
  if (end_wait != nullptr) end_wait();
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
