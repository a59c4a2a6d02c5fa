// One attempt at a unary call with raw messages.

#ifndef TESSERA_WORKER_CLIENT_UNARY_ATTEMPT_H_
#define TESSERA_WORKER_CLIENT_UNARY_ATTEMPT_H_

#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/byte_buffer.h>

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/live_count.h"
#include "common/rpc/byte_buffer.h"

namespace tessera {

// Lives as long as gRPC will come back to it.
class UnaryAttempt : public std::enable_shared_from_this<UnaryAttempt> {
 public:
  // Called exactly once, on a thread of the queue's.
  using Done = std::function<void(absl::StatusOr<ReceivedMessage>)>;

  // All must outlive the attempt, which counts in `live`.
  UnaryAttempt(grpc::GenericStub& stub, grpc::CompletionQueue& queue,
               const std::string& method, const grpc::ByteBuffer& request,
               absl::Time deadline, LiveCount& live);

  void Start(Done done);

  // Ends the attempt soon. Thread-safe.
  void Cancel() { context_.TryCancel(); }

 private:
  const LiveCount::Token token_;  // First, so destroyed last.
  grpc::ClientContext context_;
  std::unique_ptr<grpc::GenericClientAsyncResponseReader> reader_;
  grpc::ByteBuffer response_;
  grpc::Status status_;
};

}  // namespace tessera

#endif  // TESSERA_WORKER_CLIENT_UNARY_ATTEMPT_H_
