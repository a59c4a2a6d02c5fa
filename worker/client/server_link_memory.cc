// What a link does about shared memory.

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/rpc/call_status.h"
#include "worker/client/server_link.h"

namespace tessera {
namespace {

// Releases wait so long for a call to go with: longer than a call's round trip,
// and no time at all for the memory that they keep.
constexpr absl::Duration kReleaseDelay = absl::Milliseconds(10);

}  // namespace

void ServerLink::OnOffer(StreamSession& session,
                         const absl::StatusOr<std::string>& offer) {
  memory_.TakeUp(offer, session.sharing(),
                 [this, session = session.shared_from_this()](
                     absl::StatusOr<std::unique_ptr<ShmLink>> link) {
                   OnMemory(*session, std::move(link));
                 });
}

void ServerLink::OnMemory(StreamSession& session,
                          absl::StatusOr<std::unique_ptr<ShmLink>> link) {
  absl::Status status = absl::OkStatus();
  if (!link.ok()) {
    status = Annotate(absl::FailedPreconditionError(
        absl::StrCat("no shared memory: ", link.status().message())));
  }
  const StreamSharing::Answers early =
      session.sharing().Settle(link.ok() ? *std::move(link) : nullptr);
  {
    MutexLock lock(&mutex_);
    if (session_.get() == &session) memory_.Settled(status);
  }
  for (const v1::PushPullResponse& answer : early) TakeLent(session, answer);
  if (!status.ok() && memory_.required()) {
    // A server that has just gone will be found out by the next attempt.
    if (IsTransportFailure(link.status())) return session.Cancel();
    return EndStream(session, status);
  }
  Pump();
}

absl::Status ServerLink::AwaitSharedMemory(absl::Time deadline) {
  const auto want = [this](bool wanted) {
    MutexLock lock(&mutex_);
    wanted_ = wanted;
  };
  want(true);
  Pump();
  absl::Status status = memory_.Await(deadline);
  want(false);
  return absl::IsDeadlineExceeded(status) ? Annotate(status) : status;
}

void ServerLink::OnReleased(StreamSharing::Hurry hurry) {
  if (hurry == StreamSharing::Hurry::kNow) {
    return tools_.callbacks.Post([this] { Release(); });
  }
  if (release_timed_.exchange(true)) return;
  tools_.callbacks.PostAt(absl::Now() + kReleaseDelay, [this] {
    release_timed_ = false;
    Release();
  });
}

void ServerLink::Release() {
  {
    MutexLock lock(&mutex_);
    release_due_ = true;
  }
  Pump();
}

}  // namespace tessera
