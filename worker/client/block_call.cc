#include "worker/client/block_call.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/status_macros.h"
#include "common/rpc/call_status.h"
#include "common/wire/payload_message.h"
#include "tessera/v1/parameter.pb.h"

namespace tessera {
namespace {

FragmentedBytes::Piece BytesOf(absl::Span<const float> values) {
  return {reinterpret_cast<const uint8_t*>(values.data()),
          values.size() * sizeof(float)};
}

// PushRequest and PushPullRequest have the same fields.
template <typename Header>
Header PushHeader(const ServerIdentity& server, const BlockGradient& gradient,
                  uint64_t id) {
  Header header;
  header.set_job_fingerprint(server.job_fingerprint);
  header.set_shard(server.shard);
  header.set_block(gradient.block);
  header.set_step(gradient.step);
  header.set_microbatch_begin(gradient.range.begin);
  header.set_microbatch_end(gradient.range.end);
  header.set_worker_id(server.worker.value());
  header.set_loss_sum(gradient.loss_sum);
  header.set_request_id(id);
  header.set_encoding(v1::ENCODING_FLOAT32);
  return header;
}

absl::Status ErrorOf(const v1::PushPullResponse& response) {
  if (!response.has_error()) return absl::OkStatus();
  return FromCallError(response.error());
}
absl::Status ErrorOf(const v1::PullResponse&) { return absl::OkStatus(); }

}  // namespace

BlockCall::BlockCall(uint64_t id, Request request, CallbackQueue& callbacks,
                     LiveCount& outstanding)
    : token_(outstanding),
      id_(id),
      request_(std::move(request)),
      callbacks_(callbacks) {}

int64_t BlockCall::pushed_bytes() const {
  return static_cast<int64_t>(request_.gradient.values.size() * sizeof(float));
}

int64_t BlockCall::pulled_bytes() const {
  return static_cast<int64_t>(request_.to.size() * sizeof(float));
}

grpc::ByteBuffer BlockCall::MakeRequest(const ServerIdentity& server) {
  return kind() == Kind::kPull ? MakePull(server) : MakePush(server);
}

grpc::ByteBuffer BlockCall::MakePush(const ServerIdentity& server) {
  ++holds_;
  auto released = [self = shared_from_this()] {
    // This may be inside gRPC, where a callback must not run.
    if (self->Drop()) self->callbacks_.Post([self] { self->RunCallback(); });
  };
  const BlockGradient& gradient = request_.gradient;
  const FragmentedBytes::Piece payload = BytesOf(gradient.values);
  if (kind() == Kind::kPush) {
    return MakePayloadMessage(
        PushHeader<v1::PushRequest>(server, gradient, id_), payload,
        std::move(released));
  }
  return MakePayloadMessage(
      PushHeader<v1::PushPullRequest>(server, gradient, id_), payload,
      std::move(released));
}

grpc::ByteBuffer BlockCall::MakePull(const ServerIdentity& server) const {
  v1::PullRequest request;
  request.set_job_fingerprint(server.job_fingerprint);
  request.set_shard(server.shard);
  request.set_block(request_.gradient.block);
  request.set_version(request_.version);
  request.set_encoding(v1::ENCODING_FLOAT32);
  return MakeMessage(request);
}

absl::Status BlockCall::TakeAnswer(const ReceivedMessage& message) const {
  switch (kind()) {
    case Kind::kPushPull:
      return TakeBlock<v1::PushPullResponse>(message);
    case Kind::kPull:
      return TakeBlock<v1::PullResponse>(message);
    case Kind::kPush:
      break;  // That it was counted is all there is to know.
  }
  return absl::OkStatus();
}

template <typename Response>
absl::Status BlockCall::TakeBlock(const ReceivedMessage& message) const {
  Response response;
  const auto payload = ParsePayloadMessage(message.bytes(), response);
  if (!payload.ok()) return absl::InternalError(payload.status().message());
  TESSERA_RETURN_IF_ERROR(ErrorOf(response));
  const size_t bytes = request_.to.size() * sizeof(float);
  const bool any_version = request_.version < 0;
  if (response.block() != request_.gradient.block ||
      (response.version() != request_.version && !any_version) ||
      response.encoding() != v1::ENCODING_FLOAT32 || payload->size() != bytes) {
    return absl::InternalError(
        absl::StrCat("asked for ", bytes, " bytes of block ",
                     request_.gradient.block, " at version ", request_.version,
                     ", the server sent ", payload->size(), " bytes of block ",
                     response.block(), " at version ", response.version(),
                     " in encoding ", static_cast<int>(response.encoding())));
  }
  payload->CopyTo(request_.to.data());
  return absl::OkStatus();
}

void BlockCall::Finish(absl::Status result) {
  result_ = std::move(result);
  if (Drop()) RunCallback();
}

void BlockCall::RunCallback() {
  // What the callback holds goes with it, before the call stops counting.
  const BlockDone done = std::move(request_.done);
  done(result_);
}

}  // namespace tessera
