// A server's completion queues, one thread each.
//
// All services are served from them, the control services too: whatever thread
// waits inside gRPC also reads sockets there, and two threads that take turns
// at one socket cost a third of its speed. So a machine with few processors has
// one. Connections are spread over the queues, so that blocks of different
// workers are summed at the same time.

#ifndef TESSERA_SERVER_SERVICE_CALL_QUEUES_H_
#define TESSERA_SERVER_SERVICE_CALL_QUEUES_H_

#include <grpcpp/completion_queue.h>
#include <grpcpp/server_builder.h>

#include <functional>
#include <memory>
#include <thread>
#include <vector>

namespace tessera {

// In this order, by one thread: construct, Register, build the server, Start,
// shut the server down and await the end of all calls, Finish, destroy. When
// the server could not be built, Finish and destroy.
class CallQueues {
 public:
  void Register(grpc::ServerBuilder& builder);

  // Calls await(queue) for each queue, which is to ask for calls, and runs it.
  void Start(
      const std::function<void(grpc::ServerCompletionQueue& queue)>& await);

  // One of them, for calls of the server's own. From Start to Finish.
  grpc::CompletionQueue& any() { return *queues_.front(); }

  // Waits for the threads. Repeats do nothing.
  void Finish();

 private:
  std::vector<std::unique_ptr<grpc::ServerCompletionQueue>> queues_;
  std::vector<std::thread> threads_;
};

}  // namespace tessera

#endif  // TESSERA_SERVER_SERVICE_CALL_QUEUES_H_
