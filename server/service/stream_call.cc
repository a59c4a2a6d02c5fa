#include "server/service/stream_call.h"

#include <utility>
#include <vector>

#include "common/rpc/byte_buffer.h"
#include "common/rpc/call_status.h"
#include "common/rpc/completions.h"
#include "common/rpc/shm_metadata.h"
#include "common/wire/payload_message.h"
#include "server/service/parameter_methods.h"

namespace tessera {
namespace {

// A message that only says what the client has done with, if anything.
bool IsNoCall(const v1::PushPullRequest& request) {
  return request.request_id() == 0 && request.job_fingerprint() == 0;
}

}  // namespace

void StreamCall::Await(const Method& method,
                       grpc::ServerCompletionQueue& queue) {
  auto call = std::make_shared<StreamCall>(method, queue);
  call->end_tag_ = MakeTag([call](bool) { call->OnEnd(); });
  call->context_.AsyncNotifyWhenDone(call->end_tag_);
  method.request(&call->context_, &call->stream_, &queue,
                 MakeTag([call](bool ok) { call->OnBegin(ok); }));
}

void StreamCall::OnBegin(bool ok) {
  if (!ok) {
    // The server is shutting down; this stream will have no end either.
    DropTag(end_tag_);
    return;
  }
  token_ = LiveCount::Token(*method_.live_calls);
  Await(method_, queue_);
  if (OfferMemory()) {
    {
      MutexLock lock(&mutex_);
      writing_ = true;
    }
    stream_.SendInitialMetadata(MakeTag(
        [self = shared_from_this()](bool sent) { self->OnWritten(sent); }));
  }
  method_.begun(shared_from_this());
  ReadNext();
}

bool StreamCall::OfferMemory() {
  const auto& metadata = context_.client_metadata();
  const auto asked = metadata.find(kSharedMemoryKey);
  if (asked == metadata.end()) return false;
  const StreamLoans::Reply reply =
      loans_.Ask({asked->second.data(), asked->second.size()});
  context_.AddInitialMetadata(reply.key, reply.value);
  return true;
}

void StreamCall::OnEnd() {
  loans_.End();
  if (!context_.IsCancelled()) return;
  {
    MutexLock lock(&mutex_);
    finished_ = true;
    answers_.clear();
  }
  CancelWaits();
}

void StreamCall::End(absl::Status why) {
  {
    MutexLock lock(&mutex_);
    why_.Update(std::move(why));
  }
  CancelWaits();
  Proceed();
}

void StreamCall::CancelWaits() {
  std::vector<PullTicket> tickets;
  {
    MutexLock lock(&mutex_);
    calls_.ForEach(
        [&tickets](uint64_t, const std::optional<PullTicket>& ticket) {
          if (ticket) tickets.push_back(*ticket);
        });
  }
  for (const PullTicket& ticket : tickets) method_.handler->Cancel(ticket);
}

void StreamCall::ReadNext() {
  stream_.Read(&request_, MakeTag([self = shared_from_this()](bool ok) {
    self->OnRead(ok);
  }));
}

void StreamCall::OnRead(bool ok) {
  if (!ok) {
    {
      MutexLock lock(&mutex_);
      half_closed_ = true;
    }
    Proceed();
    return;
  }
  Serve();
  {
    MutexLock lock(&mutex_);
    if (!why_.ok() || finished_) return;
    read_put_off_ = calls_.size() >= method_.max_calls;
    if (read_put_off_) return;
  }
  ReadNext();
}

void StreamCall::Serve() {
  const ReceivedMessage message(request_);
  v1::PushPullRequest request;
  const auto payload = ParsePayloadMessage(message.bytes(), request);
  if (!payload.ok()) {
    // Without a request_id there is no call to answer.
    End(payload.status());
    return;
  }
  loans_.Release(request);
  if (IsNoCall(request)) return;
  uint64_t key;
  {
    MutexLock lock(&mutex_);
    key = calls_.Add(std::nullopt);
  }
  auto done = [self = shared_from_this(), key,
               id = request.request_id()](absl::StatusOr<PushPullReply> reply) {
    if (!reply.ok()) {
      return self->OnAnswer(key, StreamAnswer(id, reply.status()));
    }
    if (reply->owner != nullptr) self->loans_.Lend(*reply);
    self->OnAnswer(key, StreamAnswer(*reply));
  };
  const auto gradient = GradientOf(request, *payload);
  if (!gradient.ok()) return done(gradient.status());
  const auto ticket = method_.handler->StreamCall(request, *gradient, done);
  bool cancelled = false;
  {
    MutexLock lock(&mutex_);
    std::optional<PullTicket>* const call = calls_.Find(key);
    if (call == nullptr) return;
    *call = ticket;
    cancelled = finished_ || !why_.ok();
  }
  // The stream ended meanwhile, when this wait was not known yet.
  if (cancelled && ticket) method_.handler->Cancel(*ticket);
}

absl::StatusOr<FragmentedBytes> StreamCall::GradientOf(
    const v1::PushPullRequest& request, const FragmentedBytes& payload) {
  if (!request.has_shared()) return payload;
  if (payload.size() > 0) {
    return absl::InvalidArgumentError(
        "the call has both a payload and a place in shared memory");
  }
  return loans_.Gradient(request.shared());
}

void StreamCall::OnAnswer(uint64_t key, grpc::ByteBuffer answer) {
  {
    MutexLock lock(&mutex_);
    calls_.Take(key);
    if (!finished_ && why_.ok()) answers_.push_back(std::move(answer));
  }
  Proceed();
}

void StreamCall::OnWritten(bool ok) {
  {
    MutexLock lock(&mutex_);
    writing_ = false;
    // The stream is broken; its end will be noticed.
    if (!ok) finished_ = true;
  }
  Proceed();
}

void StreamCall::Proceed() {
  bool read = false;
  bool write = false;
  bool finish = false;
  grpc::ByteBuffer answer;
  bool more = false;
  absl::Status why;
  {
    // Whoever sets a flag here is alone in starting what it stands for.
    MutexLock lock(&mutex_);
    if (finished_) return;
    read = read_put_off_ && why_.ok() && calls_.size() < method_.max_calls;
    if (read) read_put_off_ = false;
    write = !writing_ && !answers_.empty();
    if (write) {
      writing_ = true;
      answer.Swap(&answers_.front());
      answers_.pop_front();
      more = !answers_.empty();
    }
    finish = !writing_ && (!why_.ok() || (half_closed_ && calls_.empty()));
    finished_ = finish;
    why = why_;
  }
  const auto self = shared_from_this();
  if (read) ReadNext();
  if (write) {
    stream_.Write(answer, StreamWriteOptions(answer, more),
                  MakeTag([self](bool ok) { self->OnWritten(ok); }));
  }
  if (finish) stream_.Finish(ToGrpcStatus(why), MakeTag([self](bool) {}));
}

}  // namespace tessera
