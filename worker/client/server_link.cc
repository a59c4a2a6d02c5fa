#include "worker/client/server_link.h"

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/rpc/call_status.h"
#include "common/wire/payload_message.h"
#include "tessera/v1/parameter.pb.h"

namespace tessera {
namespace {

constexpr char kPushMethod[] = "/tessera.v1.ParameterService/Push";
constexpr char kPullMethod[] = "/tessera.v1.ParameterService/Pull";

// Of one attempt at a unary call, which is then repeated; a stream is watched
// over by pings instead.
constexpr absl::Duration kAttemptTimeout = absl::Seconds(60);

// A stream that lasted so long had reached its server, even if nothing was
// said.
constexpr absl::Duration kProofOfReach = absl::Seconds(5);

bool IsStreamed(const BlockCall& call) {
  return call.kind() == BlockCall::Kind::kPushPull;
}

// A verdict that a server gives on one call, when it is stopping.
bool IsPassing(const absl::Status& status) {
  return IsTransportFailure(status) && !absl::IsInternal(status) &&
         !absl::IsUnknown(status);
}

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
    calls_.emplace(call->id(), call);
    Enqueue(call);
  }
  Pump();
}

void ServerLink::Enqueue(const CallPtr& call) {
  (IsStreamed(*call) ? to_stream_ : to_call_).push_back(call->id());
}

ServerLink::CallPtr ServerLink::PopCall(std::deque<uint64_t>& ids) {
  while (!ids.empty()) {
    const auto call = calls_.find(ids.front());
    ids.pop_front();
    if (call != calls_.end()) return call->second;
  }
  return nullptr;
}

void ServerLink::Pump() {
  PumpStream();
  PumpUnary();
}

void ServerLink::PumpStream() {
  std::shared_ptr<StreamSession> session;
  CallPtr call;
  bool begin = false;
  {
    MutexLock lock(&mutex_);
    if (closed_ || paused_ || (session_ != nullptr && !writable_)) return;
    call = PopCall(to_stream_);
    if (call == nullptr) return;
    writable_ = false;
    begin = session_ == nullptr;
    if (begin) {
      to_stream_.push_front(call->id());
      session_ = std::make_shared<StreamSession>(stub_, queue_, *this, live_);
      began_.reset();
    }
    session = session_;
  }
  if (begin) {
    session->Start();
    return;
  }
  traffic_.pushed_bytes += call->pushed_bytes();
  session->Write(call->MakeRequest(server_));
}

void ServerLink::PumpUnary() {
  while (true) {
    CallPtr call;
    {
      MutexLock lock(&mutex_);
      if (closed_ || paused_) return;
      call = PopCall(to_call_);
    }
    if (call == nullptr) return;
    StartUnary(call);
  }
}

void ServerLink::StartUnary(const CallPtr& call) {
  const uint64_t id = call->id();
  const char* method =
      call->kind() == BlockCall::Kind::kPush ? kPushMethod : kPullMethod;
  auto attempt = std::make_shared<UnaryAttempt>(
      stub_, queue_, method, call->MakeRequest(server_),
      absl::Now() + kAttemptTimeout, live_);
  {
    MutexLock lock(&mutex_);
    if (closed_ || !calls_.contains(id)) return;
    attempts_.emplace(id, attempt);
  }
  traffic_.pushed_bytes += call->pushed_bytes();
  attempt->Start([this, id](absl::StatusOr<ReceivedMessage> message) {
    OnUnaryEnd(id, std::move(message));
  });
}

ServerLink::CallPtr ServerLink::TakeCall(uint64_t id) {
  MutexLock lock(&mutex_);
  reachability_.Reset();
  const auto found = calls_.find(id);
  if (found == calls_.end()) return nullptr;
  CallPtr call = std::move(found->second);
  calls_.erase(found);
  return call;
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
  v1::PushPullResponse response;
  const auto payload = ParsePayloadMessage(message.bytes(), response);
  if (!payload.ok()) {
    // Not a server of ours; whatever else it says is worth nothing.
    Endings endings;
    {
      MutexLock lock(&mutex_);
      if (session_.get() != &session) return;
      session_ = nullptr;
      endings = TakeAll(
          Annotate(absl::InternalError(payload.status().message())), true);
    }
    session.Cancel();
    for (const auto& [call, status] : endings) call->Finish(status);
    return;
  }
  if (response.has_error() && IsPassing(FromCallError(response.error()))) {
    Retry(response.request_id(), FromCallError(response.error()));
    return;
  }
  // Null for the second answer to a call that was sent twice.
  const CallPtr call = TakeCall(response.request_id());
  if (call == nullptr) return;
  EndWith(*call, message);
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
      endings = TakeAll(Annotate(why), true);
    } else {
      to_stream_.clear();
      for (const auto& [id, call] : calls_) {
        if (IsStreamed(*call)) to_stream_.push_back(id);
      }
      traffic_.retries += static_cast<int64_t>(to_stream_.size());
      if (!to_stream_.empty()) endings = Pause(why);
    }
  }
  for (const auto& [call, status] : endings) call->Finish(status);
}

void ServerLink::OnUnaryEnd(uint64_t id,
                            absl::StatusOr<ReceivedMessage> message) {
  {
    MutexLock lock(&mutex_);
    attempts_.erase(id);
  }
  if (!message.ok() && IsTransportFailure(message.status())) {
    Retry(id, message.status());
    return;
  }
  const CallPtr call = TakeCall(id);
  if (call == nullptr) return;
  if (message.ok()) {
    EndWith(*call, *message);
  } else {
    call->Finish(Annotate(message.status()));
  }
}

void ServerLink::EndWith(BlockCall& call, const ReceivedMessage& message) {
  const absl::Status status = call.TakeAnswer(message);
  if (status.ok()) traffic_.pulled_bytes += call.pulled_bytes();
  call.Finish(status.ok() ? status : Annotate(status));
}

void ServerLink::Retry(uint64_t id, const absl::Status& why) {
  // A step that is not complete in time says nothing against its server.
  const bool reached = absl::IsDeadlineExceeded(why) &&
                       channel_->GetState(false) == GRPC_CHANNEL_READY;
  Endings endings;
  {
    MutexLock lock(&mutex_);
    const auto call = calls_.find(id);
    if (call == calls_.end()) return;
    ++traffic_.retries;
    Enqueue(call->second);
    if (reached) {
      reachability_.Reset();
    } else {
      endings = Pause(why);
    }
  }
  for (const auto& [call, status] : endings) call->Finish(status);
  if (reached) Pump();
}

ServerLink::Endings ServerLink::Pause(const absl::Status& why) {
  if (paused_) return {};
  const absl::Time now = absl::Now();
  const std::optional<absl::Time> next = reachability_.OnFailure(now, now);
  if (!next) {
    return TakeAll(
        absl::UnavailableError(absl::StrCat(
            "server ", server_.address, " (shard ", server_.shard,
            ") has been out of reach for ",
            absl::FormatDuration(unreachable_after_), ": ", why.message())),
        false);
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

ServerLink::Endings ServerLink::TakeAll(const absl::Status& why,
                                        bool only_streamed) {
  Endings endings;
  for (auto it = calls_.begin(); it != calls_.end();) {
    if (only_streamed && !IsStreamed(*it->second)) {
      ++it;
      continue;
    }
    endings.emplace_back(std::move(it->second), why);
    it = calls_.erase(it);
  }
  return endings;
}

void ServerLink::CancelAll() {
  Endings endings;
  std::shared_ptr<StreamSession> session;
  std::map<uint64_t, std::shared_ptr<UnaryAttempt>> attempts;
  {
    MutexLock lock(&mutex_);
    endings =
        TakeAll(absl::CancelledError("the caller ended all calls"), false);
    to_stream_.clear();
    to_call_.clear();
    session.swap(session_);
    writable_ = false;
    attempts = attempts_;
    reachability_.Reset();
  }
  if (session != nullptr) session->Cancel();
  for (const auto& [id, attempt] : attempts) attempt->Cancel();
  for (const auto& [call, status] : endings) {
    callbacks_.Post([call = call, status = status] { call->Finish(status); });
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
