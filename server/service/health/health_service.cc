#include "server/service/health/health_service.h"

#include <string>
#include <utility>

#include "common/rpc/byte_buffer.h"

namespace tessera {
namespace {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

grpc::ByteBuffer Answer(HealthCheckResponse::ServingStatus status) {
  HealthCheckResponse response;
  response.set_status(status);
  return MakeMessage(response);
}

absl::StatusOr<std::string> ServiceAskedFor(const FragmentedBytes& message) {
  std::string bytes(message.size(), '\0');
  message.CopyTo(bytes.data());
  HealthCheckRequest request;
  if (!request.ParseFromString(bytes)) {
    return absl::InvalidArgumentError(
        "the message is not a grpc.health.v1.HealthCheckRequest");
  }
  return request.service();
}

}  // namespace

HealthService::HealthService(LiveCount& live_calls) {
  check_ = {.request =
                [this](auto* context, auto* message, auto* responder,
                       auto* queue, void* tag) {
                  service_.RequestCheck(context, message, responder, queue,
                                        queue, tag);
                },
            .serve = [this](const FragmentedBytes& message,
                            const ReplyDone& done) -> EndWait {
              const absl::StatusOr<std::string> service =
                  ServiceAskedFor(message);
              if (!service.ok()) {
                done(service.status());
              } else if (!service->empty()) {
                done(absl::NotFoundError(
                    absl::StrCat("service \"", *service,
                                 "\": ask for the server as a whole, \"\"")));
              } else {
                done(Answer(serving() ? HealthCheckResponse::SERVING
                                      : HealthCheckResponse::NOT_SERVING));
              }
              return nullptr;
            },
            .live_calls = &live_calls};
  watch_ = {.request =
                [this](auto* context, auto* message, auto* writer, auto* queue,
                       void* tag) {
                  service_.RequestWatch(context, message, writer, queue, queue,
                                        tag);
                },
            .begun = [this](const auto& watch) { AddWatch(watch); },
            .answer =
                [this](const grpc::ByteBuffer& request) {
                  grpc::ByteBuffer copy = request;
                  const ReceivedMessage message(copy);
                  const auto service = ServiceAskedFor(message.bytes());
                  if (!service.ok() || !service->empty()) {
                    return Answer(HealthCheckResponse::SERVICE_UNKNOWN);
                  }
                  return Answer(serving() ? HealthCheckResponse::SERVING
                                          : HealthCheckResponse::NOT_SERVING);
                },
            .live_calls = &live_calls};
}

void HealthService::Register(grpc::ServerBuilder& builder) {
  builder.RegisterService(&service_);
}

void HealthService::Await(grpc::ServerCompletionQueue& queue) {
  UnaryCall::Await(check_, queue);
  WatchCall::Await(watch_, queue);
}

bool HealthService::serving() {
  MutexLock lock(&mutex_);
  return serving_;
}

void HealthService::AddWatch(const std::shared_ptr<WatchCall>& watch) {
  {
    MutexLock lock(&mutex_);
    std::erase_if(watches_, [](const auto& w) { return w.expired(); });
    if (serving_) {
      watches_.push_back(watch);
      return;
    }
  }
  watch->End(Answer(HealthCheckResponse::NOT_SERVING));
}

void HealthService::StopServing() {
  std::vector<std::weak_ptr<WatchCall>> watches;
  {
    MutexLock lock(&mutex_);
    serving_ = false;
    watches.swap(watches_);
  }
  for (const auto& weak : watches) {
    if (const auto watch = weak.lock()) {
      watch->End(Answer(HealthCheckResponse::NOT_SERVING));
    }
  }
}

}  // namespace tessera
