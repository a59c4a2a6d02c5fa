#include "server/service/call_queues.h"

#include <algorithm>

#include "common/rpc/completions.h"

namespace tessera {
namespace {

int ThreadCount() {
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()) / 2);
}

}  // namespace

void CallQueues::Register(grpc::ServerBuilder& builder) {
  for (int i = 0; i < ThreadCount(); ++i) {
    queues_.push_back(builder.AddCompletionQueue());
  }
}

void CallQueues::Start(
    const std::function<void(grpc::ServerCompletionQueue&)>& await) {
  for (const auto& queue : queues_) {
    await(*queue);
    threads_.emplace_back([&queue = *queue] { RunCompletions(queue); });
  }
}

void CallQueues::Finish() {
  for (const auto& queue : queues_) queue->Shutdown();
  for (std::thread& thread : threads_) thread.join();
  // Without threads, because the server could not be built.
  if (threads_.empty()) {
    for (const auto& queue : queues_) RunCompletions(*queue);
  }
  threads_.clear();
  queues_.clear();
}

}  // namespace tessera
