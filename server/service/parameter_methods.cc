#include "server/service/parameter_methods.h"

#include <functional>
#include <optional>
#include <utility>

#include "common/rpc/byte_buffer.h"
#include "common/rpc/call_status.h"
#include "common/wire/payload_message.h"

namespace tessera {
namespace {

template <typename Reply>
grpc::ByteBuffer BlockMessage(const Reply& reply) {
  return MakePayloadMessage(reply.header, reply.payload, reply.owner);
}

// What the handler calls back with, turned into a message.
template <typename Reply>
std::function<void(absl::StatusOr<Reply>)> AsMessage(ReplyDone done) {
  return [done = std::move(done)](absl::StatusOr<Reply> reply) {
    if (!reply.ok()) return done(reply.status());
    done(BlockMessage(*reply));
  };
}

EndWait EndOf(ParameterHandler& handler,
              const std::optional<PullTicket>& ticket) {
  if (!ticket) return nullptr;
  return [&handler, ticket = *ticket] { handler.Cancel(ticket); };
}

}  // namespace

EndWait ServePush(ParameterHandler& handler, const FragmentedBytes& message,
                  const ReplyDone& done) {
  v1::PushRequest request;
  const auto payload = ParsePayloadMessage(message, request);
  if (!payload.ok()) {
    done(payload.status());
    return nullptr;
  }
  const auto response = handler.Push(request, *payload);
  if (response.ok()) {
    done(MakeMessage(*response));
  } else {
    done(response.status());
  }
  return nullptr;
}

EndWait ServePull(ParameterHandler& handler, const FragmentedBytes& message,
                  const ReplyDone& done) {
  v1::PullRequest request;
  const auto payload = ParsePayloadMessage(message, request);
  if (!payload.ok()) {
    done(payload.status());
    return nullptr;
  }
  return EndOf(handler, handler.Pull(request, AsMessage<PullReply>(done)));
}

EndWait ServePushPull(ParameterHandler& handler, const FragmentedBytes& message,
                      const ReplyDone& done) {
  v1::PushPullRequest request;
  const auto payload = ParsePayloadMessage(message, request);
  if (!payload.ok()) {
    done(payload.status());
    return nullptr;
  }
  return EndOf(handler, handler.PushPull(request, *payload,
                                         AsMessage<PushPullReply>(done)));
}

grpc::ByteBuffer StreamAnswer(const PushPullReply& reply) {
  // Without values, or with values that lie elsewhere.
  if (reply.owner == nullptr || reply.header.has_shared()) {
    return MakeMessage(reply.header);
  }
  return BlockMessage(reply);
}

grpc::ByteBuffer StreamAnswer(uint64_t request_id, const absl::Status& error) {
  v1::PushPullResponse response;
  response.set_request_id(request_id);
  *response.mutable_error() = ToCallError(error);
  return MakeMessage(response);
}

}  // namespace tessera
