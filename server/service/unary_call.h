// One unary call of any service, on a completion queue.

#ifndef TESSERA_SERVER_SERVICE_UNARY_CALL_H_
#define TESSERA_SERVER_SERVICE_UNARY_CALL_H_

#include <grpcpp/completion_queue.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/async_unary_call.h>
#include <grpcpp/support/byte_buffer.h>

#include <functional>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "common/base/live_count.h"
#include "common/base/mutex.h"
#include "common/tensor/fragments.h"

namespace tessera {

// Called exactly once, perhaps before the method returns.
using ReplyDone = std::function<void(absl::StatusOr<grpc::ByteBuffer>)>;

// Ends the wait that a call holds: its reply then comes soon, with CANCELLED.
// Does nothing once there is a reply. Null for a call that does not wait.
using EndWait = std::function<void()>;

// What a method does with a message, which it reads before it returns.
using ServeMessage =
    std::function<EndWait(const FragmentedBytes& message, ReplyDone done)>;

// Lives as long as gRPC or the method will come back to it. When the client
// cancels, or its deadline passes, the wait that the call holds is ended.
class UnaryCall : public std::enable_shared_from_this<UnaryCall> {
 public:
  using Responder = grpc::ServerAsyncResponseWriter<grpc::ByteBuffer>;

  // A method, and what its calls need; outlives them.
  struct Method {
    // Asks gRPC for the next call.
    std::function<void(grpc::ServerContext*, grpc::ByteBuffer*, Responder*,
                       grpc::ServerCompletionQueue*, void* tag)>
        request;
    ServeMessage serve;
    LiveCount* live_calls = nullptr;
  };

  // Waits for a call, serves it, and waits for the next, until the server shuts
  // down.
  static void Await(const Method& method, grpc::ServerCompletionQueue& queue);

  UnaryCall(const Method& method, grpc::ServerCompletionQueue& queue)
      : method_(method), queue_(queue), responder_(&context_) {}

 private:
  void OnBegin(bool ok);
  void OnEnd();
  void Reply(absl::StatusOr<grpc::ByteBuffer> reply);

  const Method& method_;
  grpc::ServerCompletionQueue& queue_;
  LiveCount::Token token_;
  grpc::ServerContext context_;
  grpc::ByteBuffer request_;
  Responder responder_;
  void* end_tag_ = nullptr;

  Mutex mutex_;
  EndWait end_wait_ ABSL_GUARDED_BY(mutex_);
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace tessera

#endif  // TESSERA_SERVER_SERVICE_UNARY_CALL_H_
