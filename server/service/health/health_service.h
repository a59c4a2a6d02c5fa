// gRPC's standard health service, on completion queues: the library's own works
// by callbacks, and their threads would read sockets beside ours (see
// call_queues.h).

#ifndef TESSERA_SERVER_SERVICE_HEALTH_HEALTH_SERVICE_H_
#define TESSERA_SERVER_SERVICE_HEALTH_HEALTH_SERVICE_H_

#include <grpcpp/completion_queue.h>
#include <grpcpp/server_builder.h>

#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "common/base/live_count.h"
#include "common/base/mutex.h"
#include "server/service/health/health.grpc.pb.h"
#include "server/service/health/watch_call.h"
#include "server/service/unary_call.h"

namespace tessera {

// Knows one service, the server as a whole, whose name is empty: it serves from
// Await to StopServing. In this order, by one thread: construct, Register,
// build the server, Await for each queue, StopServing, shut the server down,
// await the end of all live calls, destroy.
class HealthService {
 public:
  // Calls count in `live_calls`, which must outlive them.
  explicit HealthService(LiveCount& live_calls);

  void Register(grpc::ServerBuilder& builder);

  // Serves the calls that come in on this queue.
  void Await(grpc::ServerCompletionQueue& queue);

  // Tells whoever watches that the server stops, and ends their calls.
  void StopServing();

 private:
  using Service = grpc::health::v1::Health::WithRawMethod_Check<
      grpc::health::v1::Health::WithRawMethod_Watch<
          grpc::health::v1::Health::Service>>;

  bool serving();
  void AddWatch(const std::shared_ptr<WatchCall>& watch);

  Service service_;
  UnaryCall::Method check_;
  WatchCall::Method watch_;

  Mutex mutex_;
  bool serving_ ABSL_GUARDED_BY(mutex_) = true;
  std::vector<std::weak_ptr<WatchCall>> watches_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tessera

#endif  // TESSERA_SERVER_SERVICE_HEALTH_HEALTH_SERVICE_H_
