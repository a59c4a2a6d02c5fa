// The parameter service on completion queues, where payloads are never copied.

#ifndef TESSERA_SERVER_SERVICE_PARAMETER_SERVICE_H_
#define TESSERA_SERVER_SERVICE_PARAMETER_SERVICE_H_

#include <grpcpp/completion_queue.h>
#include <grpcpp/server_builder.h>

#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "common/base/live_count.h"
#include "common/base/mutex.h"
#include "server/service/parameter_handler.h"
#include "server/service/stream_call.h"
#include "server/service/stream_loans.h"
#include "server/service/unary_call.h"
#include "tessera/v1/parameter.grpc.pb.h"

namespace tessera {

// In this order, by one thread: construct, Register, build the server, Await
// for each queue, EndStreams, shut the server down, await the end of all live
// calls, destroy.
class ParameterService {
 public:
  struct Limits {
    // See StreamCall::Method.
    size_t calls_per_stream = 0;
    size_t lent_per_stream = 0;
  };

  // All must outlive the service and its calls, which count in `live_calls`.
  ParameterService(ParameterHandler& handler, const ServerMemory& memory,
                   const Limits& limits, LiveCount& live_calls);

  void Register(grpc::ServerBuilder& builder);

  // Serves the calls that come in on this queue.
  void Await(grpc::ServerCompletionQueue& queue);

  // Ends all streams, once what they have to send is sent.
  void EndStreams(const absl::Status& why);

 private:
  using Service = v1::ParameterService::WithRawMethod_Push<
      v1::ParameterService::WithRawMethod_Pull<
          v1::ParameterService::WithRawMethod_PushPull<
              v1::ParameterService::WithRawMethod_PushPullStream<
                  v1::ParameterService::Service>>>>;

  void AddStream(const std::shared_ptr<StreamCall>& stream);

  Service service_;
  std::vector<UnaryCall::Method> unary_methods_;
  StreamCall::Method stream_method_;

  Mutex mutex_;
  std::vector<std::weak_ptr<StreamCall>> streams_ ABSL_GUARDED_BY(mutex_);
  absl::Status ending_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tessera

#endif  // TESSERA_SERVER_SERVICE_PARAMETER_SERVICE_H_
