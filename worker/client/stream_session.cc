#include "worker/client/stream_session.h"

#include <utility>

#include "common/rpc/call_status.h"
#include "common/rpc/completions.h"
#include "common/rpc/shm_metadata.h"

namespace tessera {
namespace {

constexpr char kMethod[] = "/tessera.v1.ParameterService/PushPullStream";

}  // namespace

StreamSession::StreamSession(grpc::GenericStub& stub,
                             grpc::CompletionQueue& queue, Listener& listener,
                             LiveCount& live, const std::string& host_id,
                             std::shared_ptr<StreamSharing> sharing)
    : token_(live),
      stub_(stub),
      queue_(queue),
      listener_(listener),
      asks_(!host_id.empty()),
      sharing_(std::move(sharing)) {
  if (asks_) context_.AddMetadata(kSharedMemoryKey, host_id);
}

void StreamSession::Start() {
  stream_ = stub_.PrepareCall(&context_, kMethod, &queue_);
  stream_->StartCall(
      MakeTag([self = shared_from_this()](bool ok) { self->OnStarted(ok); }));
}

void StreamSession::OnStarted(bool ok) {
  if (!ok) return OnRead(false);
  if (asks_) {
    stream_->ReadInitialMetadata(MakeTag(
        [self = shared_from_this()](bool read) { self->OnMetadata(read); }));
  } else {
    ReadNext();
  }
  listener_.OnWritable(*this);
}

void StreamSession::OnMetadata(bool ok) {
  absl::StatusOr<std::string> offer =
      absl::FailedPreconditionError("the server does not know how to");
  if (ok) {
    const auto& metadata = context_.GetServerInitialMetadata();
    if (const auto found = metadata.find(kSharedMemoryKey);
        found != metadata.end()) {
      offer = std::string(found->second.data(), found->second.size());
    } else if (const auto why = metadata.find(kNoSharedMemoryKey);
               why != metadata.end()) {
      offer = absl::FailedPreconditionError(
          absl::string_view(why->second.data(), why->second.size()));
    }
  }
  ReadNext();
  // Without metadata the stream is about to end, and says why by itself.
  if (ok) listener_.OnOffer(*this, offer);
}

void StreamSession::ReadNext() {
  stream_->Read(&received_, MakeTag([self = shared_from_this()](bool ok) {
    self->OnRead(ok);
  }));
}

void StreamSession::OnRead(bool ok) {
  if (ok) {
    ReceivedMessage message(received_);
    ReadNext();
    listener_.OnMessage(*this, std::move(message));
    return;
  }
  {
    MutexLock lock(&mutex_);
    broken_ = true;
  }
  MaybeFinish();
}

void StreamSession::Write(const grpc::ByteBuffer& message, bool more) {
  {
    MutexLock lock(&mutex_);
    if (broken_) return;
    writing_ = true;
  }
  stream_->Write(
      message, StreamWriteOptions(message, more),
      MakeTag([self = shared_from_this()](bool ok) { self->OnWritten(ok); }));
}

void StreamSession::OnWritten(bool ok) {
  {
    MutexLock lock(&mutex_);
    writing_ = false;
  }
  // After a failure the Read under way fails too, and ends the stream.
  if (ok) listener_.OnWritable(*this);
  MaybeFinish();
}

void StreamSession::MaybeFinish() {
  {
    MutexLock lock(&mutex_);
    if (!broken_ || writing_ || finishing_) return;
    finishing_ = true;
  }
  stream_->Finish(&status_, MakeTag([self = shared_from_this()](bool) {
    self->listener_.OnEnd(*self, FromGrpcStatus(self->status_));
  }));
}

}  // namespace tessera
