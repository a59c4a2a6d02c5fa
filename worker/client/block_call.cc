#include "worker/client/block_call.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/rpc/byte_buffer.h"
#include "common/rpc/call_status.h"
#include "common/tensor/bfloat16.h"
#include "common/wire/encoding.h"

namespace tessera {
BlockCall::BlockCall(Request request, const ServerIdentity& server,
                     CallbackQueue& callbacks, LiveCount& outstanding)
    : token_(outstanding),
      request_(std::move(request)),
      server_(server),
      trace_(server.tracer),
      callbacks_(callbacks) {}

int64_t BlockCall::pushed_bytes() const {
  return static_cast<int64_t>(request_.gradient.values.size() *
                              BytesPerValue(server_.push_encoding));
}

int64_t BlockCall::pulled_bytes() const {
  if (request_.part == v1::PART_PUSH) return 0;
  return static_cast<int64_t>(request_.elements *
                              BytesPerValue(server_.pull_encoding));
}

FragmentedBytes::Piece BlockCall::Gradient() const {
  if (request_.rounded) {
    return {static_cast<const uint8_t*>(request_.rounded.data()),
            request_.rounded.bytes()};
  }
  const absl::Span<const float> values = request_.gradient.values;
  return {reinterpret_cast<const uint8_t*>(values.data()),
          values.size() * sizeof(float)};
}

v1::PushPullRequest BlockCall::MakeHeader() const {
  const BlockGradient& gradient = request_.gradient;
  v1::PushPullRequest header;
  header.set_job_fingerprint(server_.job_fingerprint);
  header.set_shard(server_.shard);
  header.set_block(gradient.block);
  header.set_worker_id(server_.worker.value());
  header.set_request_id(id_);
  header.set_part(request_.part);
  header.set_generation(request_.generation);
  if (request_.part == v1::PART_PULL) {
    header.set_version(request_.version);
    header.set_encoding(server_.pull_encoding);
    return header;
  }
  header.set_step(gradient.step);
  header.set_microbatch_begin(gradient.range.begin);
  header.set_microbatch_end(gradient.range.end);
  header.set_loss_sum(gradient.loss_sum);
  header.set_encoding(server_.push_encoding);
  return header;
}

std::optional<v1::SharedBytes> BlockCall::Hold(const StreamSharing& sharing) {
  ++holds_;
  if (request_.part == v1::PART_PULL || !may_name_shared_) return std::nullopt;
  std::optional<v1::SharedBytes> place = sharing.PlaceOf(Gradient());
  if (place) named_shared_ = true;
  return place;
}

bool BlockCall::MustSendBytes(const v1::PushPullResponse& answer) {
  if (!named_shared_ || !may_name_shared_ ||
      answer.error().code() !=
          static_cast<int>(absl::StatusCode::kFailedPrecondition)) {
    return false;
  }
  may_name_shared_ = false;
  return true;
}

grpc::ByteBuffer BlockCall::MakeRequest(
    const std::optional<v1::SharedBytes>& place, StreamSharing& sharing) {
  trace_.Sending();
  v1::PushPullRequest header = MakeHeader();
  sharing.AddReleased(header);
  if (request_.part == v1::PART_PULL || place) {
    if (place) *header.mutable_shared() = *place;
    trace_.Released();
    DropFromAfar();
    return MakeMessage(header);
  }
  // The hold passes on to the message.
  return MakePayloadMessage(header, Gradient(), [self = shared_from_this()] {
    self->trace_.Released();
    self->DropFromAfar();
  });
}

void BlockCall::DropFromAfar() {
  // This may be inside gRPC, where a callback must not run.
  if (!Drop()) return;
  callbacks_.Post([self = shared_from_this()] { self->RunCallback(); });
}

absl::Status BlockCall::TakeAnswer(const v1::PushPullResponse& answer,
                                   BlockView values) {
  trace_.Answered();
  const int64_t bytes = static_cast<int64_t>(values.bytes().size());
  absl::Status status = TakeValues(answer, std::move(values));
  if (bytes > 0) trace_.Taken(TraceArgsOf(bytes));
  return status;
}

absl::Status BlockCall::TakeValues(const v1::PushPullResponse& answer,
                                   BlockView values) {
  if (answer.has_error()) return FromCallError(answer.error());
  // That it was counted is all there is to know.
  if (request_.part == v1::PART_PUSH) return absl::OkStatus();
  TESSERA_RETURN_IF_ERROR(CheckAnswer(answer, values));
  if (request_.view_done == nullptr) {
    if (answer.encoding() == v1::ENCODING_BFLOAT16) {
      ExpandBfloat16(values.bytes(), request_.to.data());
    } else {
      values.bytes().CopyTo(request_.to.data());
    }
    if (values.Valid()) return absl::OkStatus();
    return absl::UnavailableError(
        "the server took its memory back while it was read");
  }
  values.version_ = answer.version();
  values.encoding_ = answer.encoding();
  view_ = std::move(values);
  return absl::OkStatus();
}

absl::Status BlockCall::CheckAnswer(const v1::PushPullResponse& answer,
                                    const BlockView& values) const {
  const bool any_version = request_.version < 0;
  if (answer.block() == request_.gradient.block &&
      (answer.version() == request_.version || any_version) &&
      answer.encoding() == server_.pull_encoding &&
      values.bytes().size() == static_cast<size_t>(pulled_bytes())) {
    return absl::OkStatus();
  }
  return absl::InternalError(absl::StrCat(
      "asked for ", pulled_bytes(), " bytes of block ", request_.gradient.block,
      " at version ", request_.version, " in encoding ",
      static_cast<int>(server_.pull_encoding), ", the server sent ",
      values.bytes().size(), " bytes of block ", answer.block(), " at version ",
      answer.version(), " in encoding ", static_cast<int>(answer.encoding())));
}

void BlockCall::Finish(absl::Status result) {
  result_ = std::move(result);
  if (Drop()) RunCallback();
}

TraceArgs BlockCall::TraceArgsOf(int64_t bytes) const {
  const BlockGradient& gradient = request_.gradient;
  if (request_.part == v1::PART_PULL) {
    return {.step = request_.version, .block = gradient.block, .bytes = bytes};
  }
  return {.step = gradient.step,
          .block = gradient.block,
          .range_begin = gradient.range.begin,
          .range_end = gradient.range.end,
          .bytes = bytes};
}

void BlockCall::RecordTrace() const {
  if (server_.tracer == nullptr) return;
  // Ids are each server's own.
  const uint64_t track = (static_cast<uint64_t>(server_.shard) << 56) ^ id_;
  const bool pull = request_.part == v1::PART_PULL;
  trace_.Record(track, pull ? TraceCategory::kPull : TraceCategory::kPush,
                TraceArgsOf(pull ? pulled_bytes() : pushed_bytes()));
}

void BlockCall::RunCallback() {
  RecordTrace();
  // What the callbacks hold goes with them, before the call stops counting.
  const BlockDone done = std::move(request_.done);
  const ViewDone view_done = std::move(request_.view_done);
  if (view_done == nullptr) return done(result_);
  if (!result_.ok()) return view_done(result_);
  view_done(std::move(view_));
}

}  // namespace tessera
