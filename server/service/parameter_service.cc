#include "server/service/parameter_service.h"

#include <utility>

#include "server/service/parameter_methods.h"

namespace tessera {
ParameterService::ParameterService(ParameterHandler& handler,
                                   const ServerMemory& memory,
                                   const Limits& limits,
                                   LiveCount& live_calls) {
  const auto add = [&](auto request, auto serve) {
    unary_methods_.push_back(
        {.request = request,
         .serve =
             [&handler, serve](const FragmentedBytes& message,
                               const ReplyDone& done) {
               return serve(handler, message, done);
             },
         .live_calls = &live_calls});
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
      .live_calls = &live_calls,
      .max_calls = limits.calls_per_stream,
      .memory = &memory,
      .max_lent = limits.lent_per_stream};
}

void ParameterService::Register(grpc::ServerBuilder& builder) {
  builder.RegisterService(&service_);
}

void ParameterService::Await(grpc::ServerCompletionQueue& queue) {
  for (const UnaryCall::Method& method : unary_methods_) {
    UnaryCall::Await(method, queue);
  }
  StreamCall::Await(stream_method_, queue);
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

}  // namespace tessera
