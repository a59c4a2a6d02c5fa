#include "worker/client/unary_attempt.h"

#include <utility>

#include "common/rpc/call_status.h"
#include "common/rpc/completions.h"

namespace tessera {

UnaryAttempt::UnaryAttempt(grpc::GenericStub& stub,
                           grpc::CompletionQueue& queue,
                           const std::string& method,
                           const grpc::ByteBuffer& request, absl::Time deadline,
                           LiveCount& live)
    : token_(live) {
  context_.set_deadline(absl::ToChronoTime(deadline));
  reader_ = stub.PrepareUnaryCall(&context_, method, request, &queue);
}

void UnaryAttempt::Start(Done done) {
  reader_->StartCall();
  reader_->Finish(
      &response_, &status_,
      MakeTag([self = shared_from_this(), done = std::move(done)](bool) {
        if (self->status_.ok()) {
          done(ReceivedMessage(self->response_));
        } else {
          done(FromGrpcStatus(self->status_));
        }
      }));
}

}  // namespace tessera
