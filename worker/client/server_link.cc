#include "worker/client/server_link.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/rpc/call_status.h"
#include "common/wire/payload_message.h"

namespace tessera {
namespace {

// A stream that lasted so long had reached its server, even if nothing was
// said.
constexpr absl::Duration kProofOfReach = absl::Seconds(5);

// A verdict that a server gives on one call, when it is stopping; or ours, on
// an answer whose values were taken back.
bool IsPassing(const absl::Status& status) {
  return IsTransportFailure(status) && !absl::IsInternal(status) &&
         !absl::IsUnknown(status);
}

// Keeps a received message for as long as its payload is looked at.
class ReceivedSource : public BlockView::Source {
 public:
  explicit ReceivedSource(ReceivedMessage message)
      : message_(std::move(message)) {}
  bool Valid() const override { return true; }

 private:
  const ReceivedMessage message_;
};

}  // namespace

ServerLink::ServerLink(ServerIdentity server, absl::Duration unreachable_after,
                       std::shared_ptr<grpc::Channel> channel,
                       grpc::CompletionQueue& queue, CallbackQueue& callbacks,
                       TrafficCounters& traffic)
    : server_(std::move(server)),
      unreachable_after_(unreachable_after),
      channel_(std::move(channel)),
      queue_(queue),
      callbacks_(callbacks),
      traffic_(traffic),
      stub_(channel_),
      reachability_(unreachable_after) {}

ServerLink::~ServerLink() = default;

absl::Status ServerLink::Annotate(const absl::Status& status) const {
  return absl::Status(status.code(),
                      absl::StrCat("server ", server_.address, " (shard ",
                                   server_.shard, "): ", status.message()));
}

void ServerLink::Start(std::shared_ptr<BlockCall> call) {
  {
    MutexLock lock(&mutex_);
    calls_.Add(std::move(call));
  }
  Pump();
}

void ServerLink::Pump() {
  std::shared_ptr<StreamSession> session;
  CallPtr call;
  {
    MutexLock lock(&mutex_);
    if (closed_ || paused_ || !calls_.HasNext()) return;
    if (session_ == nullptr) {
      session_ = std::make_shared<StreamSession>(stub_, queue_, *this, live_);
      began_.reset();
    } else {
      if (!writable_) return;
      writable_ = false;
      call = calls_.Next();
      call->Hold();
    }
    session = session_;
  }
  if (call == nullptr) return session->Start();
  traffic_.pushed_bytes += call->pushed_bytes();
  session->Write(call->MakeRequest());
}

void ServerLink::OnWritable(StreamSession& session) {
  {
    MutexLock lock(&mutex_);
    if (session_.get() != &session) return;
    if (!began_) began_ = absl::Now();
    writable_ = true;
  }
  Pump();
}

void ServerLink::OnMessage(StreamSession& session, ReceivedMessage message) {
  v1::PushPullResponse answer;
  auto payload = ParsePayloadMessage(message.bytes(), answer);
  if (payload.ok()) {
    return TakeAnswer(
        answer, BlockView(*std::move(payload), std::make_unique<ReceivedSource>(
                                                   std::move(message))));
  }
  // Not a server of ours; whatever else it says is worth nothing.
  Endings endings;
  {
    MutexLock lock(&mutex_);
    if (session_.get() != &session) return;
    session_ = nullptr;
    writable_ = false;
    endings = {calls_.TakeAll(),
               Annotate(absl::InternalError(payload.status().message()))};
  }
  session.Cancel();
  End(endings);
}

void ServerLink::TakeAnswer(const v1::PushPullResponse& answer,
                            BlockView values) {
  if (answer.has_error() && IsPassing(FromCallError(answer.error()))) {
    return Repeat(answer.request_id(), FromCallError(answer.error()));
  }
  CallPtr call;
  {
    MutexLock lock(&mutex_);
    reachability_.Reset();
    call = calls_.Take(answer.request_id());
  }
  // The second answer to a call that was sent twice.
  if (call == nullptr) return;
  const absl::Status status = call->TakeAnswer(answer, std::move(values));
  if (status.ok()) traffic_.pulled_bytes += call->pulled_bytes();
  call->Finish(status.ok() ? status : Annotate(status));
}

void ServerLink::OnEnd(StreamSession& session, const absl::Status& why) {
  Endings endings;
  {
    MutexLock lock(&mutex_);
    if (session_.get() != &session) return;
    session_ = nullptr;
    writable_ = false;
    if (began_ && absl::Now() - *began_ > kProofOfReach) reachability_.Reset();
    if (!why.ok() && !IsTransportFailure(why)) {
      endings = {calls_.TakeAll(), Annotate(why)};
    } else if (const size_t calls = calls_.RepeatAll(); calls > 0) {
      traffic_.retries += static_cast<int64_t>(calls);
      endings = Pause(why);
    }
  }
  End(endings);
}

void ServerLink::Repeat(uint64_t id, const absl::Status& why) {
  // A step that is not complete in time says nothing against its server.
  const bool reached = absl::IsDeadlineExceeded(why) &&
                       channel_->GetState(false) == GRPC_CHANNEL_READY;
  Endings endings;
  {
    MutexLock lock(&mutex_);
    if (!calls_.Repeat(id)) return;
    ++traffic_.retries;
    if (reached) {
      reachability_.Reset();
    } else {
      endings = Pause(why);
    }
  }
  End(endings);
  if (reached) Pump();
}

ServerLink::Endings ServerLink::Pause(const absl::Status& why) {
  if (paused_) return {};
  const absl::Time now = absl::Now();
  const std::optional<absl::Time> next = reachability_.OnFailure(now, now);
  if (!next) {
    return {calls_.TakeAll(), absl::UnavailableError(absl::StrCat(
                                  "server ", server_.address, " (shard ",
                                  server_.shard, ") has been out of reach for ",
                                  absl::FormatDuration(unreachable_after_),
                                  ": ", why.message()))};
  }
  paused_ = true;
  callbacks_.PostAt(*next, [this] { Wake(); });
  return {};
}

void ServerLink::Wake() {
  {
    MutexLock lock(&mutex_);
    paused_ = false;
  }
  Pump();
}

void ServerLink::End(const Endings& endings) {
  for (const CallPtr& call : endings.calls) call->Finish(endings.why);
}

void ServerLink::CancelAll() {
  std::vector<CallPtr> calls;
  std::shared_ptr<StreamSession> session;
  {
    MutexLock lock(&mutex_);
    calls = calls_.TakeAll();
    session.swap(session_);
    writable_ = false;
    reachability_.Reset();
  }
  if (session != nullptr) session->Cancel();
  for (const CallPtr& call : calls) {
    callbacks_.Post([call] {
      call->Finish(absl::CancelledError("the caller ended all calls"));
    });
  }
}

void ServerLink::Close() {
  {
    MutexLock lock(&mutex_);
    closed_ = true;
  }
  CancelAll();
  live_.AwaitNone();
}

}  // namespace tessera
