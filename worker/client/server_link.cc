#include "worker/client/server_link.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/rpc/call_status.h"
#include "common/wire/payload_message.h"
#include "worker/client/outage_report.h"

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

ServerLink::ServerLink(ServerIdentity server,
                       const ParameterClientOptions& options,
                       std::shared_ptr<grpc::Channel> channel,
                       const LinkTools& tools)
    : server_(std::move(server)),
      unreachable_after_(options.unreachable_after),
      on_outage_(options.on_outage),
      channel_(std::move(channel)),
      tools_(tools),
      memory_(options.transport, options.region, tools.helper),
      stub_(channel_),
      reachability_(options.unreachable_after) {}

ServerLink::~ServerLink() = default;

absl::Status ServerLink::Annotate(const absl::Status& status) const {
  return absl::Status(status.code(),
                      absl::StrCat("server ", server_.address, " (shard ",
                                   server_.shard, "): ", status.message()));
}

std::shared_ptr<StreamSession> ServerLink::NewSession() {
  began_.reset();
  return std::make_shared<StreamSession>(
      stub_, tools_.queue, *this, live_, memory_.host_id(),
      memory_.NewStream(
          [this](StreamSharing::Hurry hurry) { OnReleased(hurry); }));
}

void ServerLink::Start(std::shared_ptr<BlockCall> call) {
  {
    MutexLock lock(&mutex_);
    calls_.Add(std::move(call));
  }
  Pump();
}

void ServerLink::Pump() {
  const Step step = NextStep();
  if (step.session == nullptr) return;
  StreamSharing& sharing = step.session->sharing();
  switch (step.kind) {
    case Step::kBegin:
      return step.session->Start();
    case Step::kCall:
      tools_.traffic.pushed_bytes += step.call->pushed_bytes();
      return step.session->Write(step.call->MakeRequest(step.place, sharing),
                                 step.more);
    case Step::kNoCall: {
      v1::PushPullRequest message;
      sharing.AddReleased(message);
      return step.session->Write(MakeMessage(message), false);
    }
  }
}

ServerLink::Step ServerLink::NextStep() {
  MutexLock lock(&mutex_);
  if (closed_ || paused_) return {};
  if (session_ == nullptr) {
    if (!calls_.HasNext() && !wanted_) return {};
    session_ = NewSession();
    return {.kind = Step::kBegin, .session = session_};
  }
  const StreamSharing& sharing = session_->sharing();
  if (!writable_ || (memory_.required() && !sharing.up())) return {};
  Step step{.kind = Step::kNoCall, .call = calls_.Next()};
  if (step.call != nullptr) {
    step.kind = Step::kCall;
    step.place = step.call->Hold(sharing);
    step.more = calls_.HasNext();
  } else {
    const size_t released = sharing.released();
    const bool due = release_due_ || released >= StreamSharing::kManyReleases;
    if (!more_promised_ && (released == 0 || !due)) return {};
  }
  more_promised_ = step.more;
  writable_ = false;
  release_due_ = false;
  step.session = session_;
  return step;
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
  if (!payload.ok()) {
    // Not a server of ours; whatever else it says is worth nothing.
    EndStream(session, absl::InternalError(payload.status().message()));
  } else if (answer.has_shared()) {
    TakeLent(session, answer);
  } else {
    TakeAnswer(answer,
               BlockView(*std::move(payload),
                         std::make_unique<ReceivedSource>(std::move(message))));
  }
}

void ServerLink::TakeLent(StreamSession& session,
                          const v1::PushPullResponse& answer) {
  auto values = session.sharing().Lent(answer);
  if (!values.ok()) return EndStream(session, values.status());
  if (*values) TakeAnswer(answer, **std::move(values));
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
    // The second answer to a call that was sent twice.
    if (call == nullptr) return;
    if (call->MustSendBytes(answer)) calls_.Add(std::exchange(call, nullptr));
  }
  if (call == nullptr) return Pump();
  const absl::Status status = call->TakeAnswer(answer, std::move(values));
  if (status.ok()) {
    tools_.traffic.pulled_bytes += call->pulled_bytes();
    call->Finish(status);
  } else if (IsPassing(status)) {
    SendAgain(std::move(call), status);
  } else {
    call->Finish(Annotate(status));
  }
}

void ServerLink::EndStream(StreamSession& session, const absl::Status& why) {
  Endings endings;
  {
    MutexLock lock(&mutex_);
    if (session_.get() != &session) return;
    endings = {calls_.TakeAll(), Annotate(why)};
    DropSession();
  }
  session.Cancel();
  End(endings);
}

void ServerLink::DropSession() {
  session_ = nullptr;
  writable_ = false;
  more_promised_ = false;
  memory_.Unsettled();
}

void ServerLink::OnEnd(StreamSession& session, const absl::Status& why) {
  session.sharing().Close();
  Endings endings;
  {
    MutexLock lock(&mutex_);
    if (session_.get() != &session) return;
    DropSession();
    if (began_ && absl::Now() - *began_ > kProofOfReach) reachability_.Reset();
    if (!why.ok() && !IsTransportFailure(why)) {
      endings = {calls_.TakeAll(), Annotate(why)};
    } else {
      const size_t calls = calls_.RepeatAll();
      tools_.traffic.retries += static_cast<int64_t>(calls);
      if (calls > 0 || wanted_) endings = Pause(why);
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
    ++tools_.traffic.retries;
    if (reached) {
      reachability_.Reset();
    } else {
      endings = Pause(why);
    }
  }
  End(endings);
  if (reached) Pump();
}

void ServerLink::SendAgain(CallPtr call, const absl::Status& why) {
  Endings endings;
  {
    MutexLock lock(&mutex_);
    calls_.Add(std::move(call));
    ++tools_.traffic.retries;
    endings = Pause(why);
  }
  End(endings);
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
  if (const auto out_for = reachability_.TakeReport(); out_for && on_outage_) {
    tools_.callbacks.Post(
        [tell = on_outage_,
         report = OutageReport(absl::StrCat("server ", server_.address,
                                            " (shard ", server_.shard, ")"),
                               *out_for, unreachable_after_, why)] {
          tell(report);
        });
  }
  paused_ = true;
  tools_.callbacks.PostAt(*next, [this] {
    {
      MutexLock lock(&mutex_);
      paused_ = false;
    }
    Pump();
  });
  return {};
}

void ServerLink::End(const Endings& endings) {
  memory_.Abandon(endings.calls);
  for (const CallPtr& call : endings.calls) call->Finish(endings.why);
}

void ServerLink::CancelAll() {
  std::vector<CallPtr> calls;
  std::shared_ptr<StreamSession> session;
  {
    MutexLock lock(&mutex_);
    calls = calls_.TakeAll();
    session = session_;
    DropSession();
    reachability_.Reset();
  }
  if (session != nullptr) session->Cancel();
  memory_.Abandon(calls);
  for (const CallPtr& call : calls) {
    tools_.callbacks.Post([call] {
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
