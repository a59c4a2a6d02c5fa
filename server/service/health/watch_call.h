// One Watch of the health service.

#ifndef TESSERA_SERVER_SERVICE_HEALTH_WATCH_CALL_H_
#define TESSERA_SERVER_SERVICE_HEALTH_WATCH_CALL_H_

#include <grpcpp/completion_queue.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/async_stream.h>
#include <grpcpp/support/byte_buffer.h>

#include <functional>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "common/base/live_count.h"
#include "common/base/mutex.h"

namespace tessera {

// Says how the server is, and once more when that changes: it only ever changes
// when the server stops, which ends the call. Lives as long as gRPC will come
// back to it, and until the client leaves or the server stops.
class WatchCall : public std::enable_shared_from_this<WatchCall> {
 public:
  using Writer = grpc::ServerAsyncWriter<grpc::ByteBuffer>;

  // What all watches need; outlives them.
  struct Method {
    // Asks gRPC for the next call.
    std::function<void(grpc::ServerContext*, grpc::ByteBuffer*, Writer*,
                       grpc::ServerCompletionQueue*, void* tag)>
        request;
    // Told of each call that begins.
    std::function<void(const std::shared_ptr<WatchCall>&)> begun;
    // The answer to a request, as a message.
    std::function<grpc::ByteBuffer(const grpc::ByteBuffer& request)> answer;
    LiveCount* live_calls = nullptr;
  };

  // Waits for a call, serves it, and waits for the next, until the server shuts
  // down.
  static void Await(const Method& method, grpc::ServerCompletionQueue& queue);

  WatchCall(const Method& method, grpc::ServerCompletionQueue& queue)
      : method_(method), queue_(queue), writer_(&context_) {}

  // Writes a last message and ends the call.
  void End(const grpc::ByteBuffer& last);

 private:
  void OnBegin(bool ok);
  void OnWritten(bool ok);
  void OnEnd();
  void Finish(const grpc::ByteBuffer& last);

  const Method& method_;
  grpc::ServerCompletionQueue& queue_;
  LiveCount::Token token_;
  grpc::ServerContext context_;
  grpc::ByteBuffer request_;
  Writer writer_;
  void* end_tag_ = nullptr;

  Mutex mutex_;
  bool writing_ ABSL_GUARDED_BY(mutex_) = true;  // The first message.
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  grpc::ByteBuffer last_ ABSL_GUARDED_BY(mutex_);
  // Itself, while it waits: nobody else holds it then.
  std::shared_ptr<WatchCall> self_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tessera

#endif  // TESSERA_SERVER_SERVICE_HEALTH_WATCH_CALL_H_
