#include "server/service/parameter_service.h"

#include <algorithm>
#include <utility>

#include "common/rpc/completions.h"
#include "server/service/parameter_methods.h"

namespace tessera {
namespace {

// Measured on two cores: one thread beats two, and the callback API by far.
int ThreadCount() {
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()) / 2);
}

}  // namespace

ParameterService::ParameterService(ParameterHandler& handler,
                                   const ServerMemory& memory,
                                   const Limits& limits) {
  const auto add = [&](auto request, auto serve) {
    unary_methods_.push_back({.request = request,
                              .serve = serve,
                              .handler = &handler,
                              .live_calls = &live_calls_});
  };
  add(
      [this](auto* context, auto* message, auto* responder, auto* queue,
             void* tag) {
        service_.RequestPush(context, message, responder, queue, queue, tag);
      },
      ServePush);
  add(
      [this](auto* context, auto* message, auto* responder, auto* queue,
             void* tag) {
        service_.RequestPull(context, message, responder, queue, queue, tag);
      },
      ServePull);
  add(
      [this](auto* context, auto* message, auto* responder, auto* queue,
             void* tag) {
        service_.RequestPushPull(context, message, responder, queue, queue,
                                 tag);
      },
      ServePushPull);
  stream_method_ = {
      .request =
          [this](auto* context, auto* stream, auto* queue, void* tag) {
            service_.RequestPushPullStream(context, stream, queue, queue, tag);
          },
      .begun = [this](const auto& stream) { AddStream(stream); },
      .handler = &handler,
      .live_calls = &live_calls_,
      .max_calls = limits.calls_per_stream,
      .memory = &memory,
      .max_lent = limits.lent_per_stream};
}

void ParameterService::Register(grpc::ServerBuilder& builder) {
  builder.RegisterService(&service_);
  for (int i = 0; i < ThreadCount(); ++i) {
    queues_.push_back(builder.AddCompletionQueue());
  }
}

void ParameterService::Start() {
  for (const auto& queue : queues_) {
    for (const UnaryCall::Method& method : unary_methods_) {
      UnaryCall::Await(method, *queue);
    }
    StreamCall::Await(stream_method_, *queue);
    threads_.emplace_back([&queue = *queue] { RunCompletions(queue); });
  }
}

void ParameterService::AddStream(const std::shared_ptr<StreamCall>& stream) {
  absl::Status why;
  {
    MutexLock lock(&mutex_);
    why = ending_;
    std::erase_if(streams_, [](const auto& s) { return s.expired(); });
    streams_.push_back(stream);
  }
  if (!why.ok()) stream->End(why);
}

void ParameterService::EndStreams(const absl::Status& why) {
  std::vector<std::weak_ptr<StreamCall>> streams;
  {
    MutexLock lock(&mutex_);
    ending_ = why;
    streams.swap(streams_);
  }
  for (const auto& weak : streams) {
    if (const auto stream = weak.lock()) stream->End(why);
  }
}

void ParameterService::Finish() {
  // Calls may start operations as long as they live.
  live_calls_.AwaitNone();
  for (const auto& queue : queues_) queue->Shutdown();
  for (std::thread& thread : threads_) thread.join();
  // Without threads, because the server could not be built.
  if (threads_.empty()) {
    for (const auto& queue : queues_) RunCompletions(*queue);
  }
  threads_.clear();
}

}  // namespace tessera
