#include "server/service/parameter_methods.h"

#include <utility>

#include "common/rpc/byte_buffer.h"
#include "common/rpc/call_status.h"
#include "common/wire/payload_message.h"

namespace tessera {
namespace {

template <typename Reply>
grpc::ByteBuffer BlockMessage(const Reply& reply) {
  const absl::Span<const float> values = reply.block.values;
  return MakePayloadMessage(
      reply.header,
      FragmentedBytes::Piece(reinterpret_cast<const uint8_t*>(values.data()),
                             values.size() * sizeof(float)),
      reply.block.owner);
}

// What the handler calls back with, turned into a message.
template <typename Reply>
std::function<void(absl::StatusOr<Reply>)> AsMessage(ReplyDone done) {
  return [done = std::move(done)](absl::StatusOr<Reply> reply) {
    if (!reply.ok()) return done(reply.status());
    done(BlockMessage(*reply));
  };
}

}  // namespace

std::optional<PullTicket> ServePush(ParameterHandler& handler,
                                    const FragmentedBytes& message,
                                    const ReplyDone& done) {
  v1::PushRequest request;
  const auto payload = ParsePayloadMessage(message, request);
  if (!payload.ok()) {
    done(payload.status());
    return std::nullopt;
  }
  const auto response = handler.Push(request, *payload);
  if (response.ok()) {
    done(MakeMessage(*response));
  } else {
    done(response.status());
  }
  return std::nullopt;
}

std::optional<PullTicket> ServePull(ParameterHandler& handler,
                                    const FragmentedBytes& message,
                                    const ReplyDone& done) {
  v1::PullRequest request;
  const auto payload = ParsePayloadMessage(message, request);
  if (!payload.ok()) {
    done(payload.status());
    return std::nullopt;
  }
  return handler.Pull(request, AsMessage<PullReply>(done));
}

std::optional<PullTicket> ServePushPull(ParameterHandler& handler,
                                        const FragmentedBytes& message,
                                        const ReplyDone& done) {
  v1::PushPullRequest request;
  const auto payload = ParsePayloadMessage(message, request);
  if (!payload.ok()) {
    done(payload.status());
    return std::nullopt;
  }
  return handler.PushPull(request, *payload, AsMessage<PushPullReply>(done));
}

grpc::ByteBuffer StreamAnswer(uint64_t request_id,
                              const absl::StatusOr<PushPullReply>& reply) {
  if (reply.ok() && reply->block.owner != nullptr) return BlockMessage(*reply);
  if (reply.ok()) return MakeMessage(reply->header);
  v1::PushPullResponse response;
  response.set_request_id(request_id);
  *response.mutable_error() = ToCallError(reply.status());
  return MakeMessage(response);
}

}  // namespace tessera
