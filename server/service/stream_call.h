// One PushPullStream, on a completion queue.
//
//   gRPC -- Read --> handler.StreamCall ..waits.. answer --> queue -- Write -->
//            (one at a time)                       (any order)  (one at a time)

#ifndef TESSERA_SERVER_SERVICE_STREAM_CALL_H_
#define TESSERA_SERVER_SERVICE_STREAM_CALL_H_

#include <grpcpp/completion_queue.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/async_stream.h>
#include <grpcpp/support/byte_buffer.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/live_count.h"
#include "common/base/mutex.h"
#include "common/base/slot_table.h"
#include "common/tensor/fragments.h"
#include "server/service/parameter_handler.h"
#include "server/service/stream_loans.h"
#include "tessera/v1/parameter.pb.h"

namespace tessera {

// Lives as long as gRPC or the handler will come back to it. A client that
// half-closes still gets its answers; one that cancels or disappears has its
// waits ended.
class StreamCall : public std::enable_shared_from_this<StreamCall> {
 public:
  using Stream =
      grpc::ServerAsyncReaderWriter<grpc::ByteBuffer, grpc::ByteBuffer>;

  // What all streams need; outlives them.
  struct Method {
    // Asks gRPC for the next stream.
    std::function<void(grpc::ServerContext*, Stream*,
                       grpc::ServerCompletionQueue*, void* tag)>
        request;
    // Told of each stream that begins.
    std::function<void(const std::shared_ptr<StreamCall>&)> begun;
    ParameterHandler* handler = nullptr;
    LiveCount* live_calls = nullptr;
    // Calls under way at which a stream reads no further until some are
    // answered: more than any proper worker has, so that none gets stuck.
    size_t max_calls = 0;
    const ServerMemory* memory = nullptr;
    // See StreamLoans.
    size_t max_lent = 0;
  };

  // Waits for a stream, serves it, and waits for the next, until the server
  // shuts down.
  static void Await(const Method& method, grpc::ServerCompletionQueue& queue);

  StreamCall(const Method& method, grpc::ServerCompletionQueue& queue)
      : method_(method),
        queue_(queue),
        stream_(&context_),
        loans_(*method.memory, method.max_lent) {}

  // Sends the answers that are ready, ends all waits and then the stream, with
  // this error.
  void End(absl::Status why);

 private:
  void OnBegin(bool ok);
  void OnEnd();
  // Answers a client that asks for shared memory; whether it does.
  bool OfferMemory();
  void ReadNext();
  void OnRead(bool ok);
  void Serve();
  absl::StatusOr<FragmentedBytes> GradientOf(const v1::PushPullRequest& request,
                                             const FragmentedBytes& payload);
  void OnAnswer(uint64_t key, grpc::ByteBuffer answer);
  void OnWritten(bool ok);
  // Starts what can be started: a Write, a Read that was put off, the end.
  void Proceed();
  void CancelWaits();

  const Method& method_;
  grpc::ServerCompletionQueue& queue_;
  LiveCount::Token token_;
  grpc::ServerContext context_;
  Stream stream_;
  grpc::ByteBuffer request_;  // Of the Read under way.
  void* end_tag_ = nullptr;
  StreamLoans loans_;

  Mutex mutex_;
  // Calls that are not answered, with what would cancel them.
  SlotTable<std::optional<PullTicket>> calls_ ABSL_GUARDED_BY(mutex_);
  std::deque<grpc::ByteBuffer> answers_ ABSL_GUARDED_BY(mutex_);
  // A message, or the initial metadata.
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool read_put_off_ ABSL_GUARDED_BY(mutex_) = false;
  bool half_closed_ ABSL_GUARDED_BY(mutex_) = false;
  // Why the stream is to end, unless it is the client's wish.
  absl::Status why_ ABSL_GUARDED_BY(mutex_);
  // No answer can be given any more.
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace tessera

#endif  // TESSERA_SERVER_SERVICE_STREAM_CALL_H_
