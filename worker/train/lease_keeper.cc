#include "worker/train/lease_keeper.h"

#include "absl/status/status.h"

namespace tessera {

LeaseKeeper::LeaseKeeper(const CoordinatorClient& coordinator, WorkerId worker,
                         absl::Duration lease, BlockBoard& board)
    : coordinator_(coordinator.Clone()),
      worker_(worker),
      interval_(lease / 3),
      board_(board),
      thread_([this] { Run(); }) {}

LeaseKeeper::~LeaseKeeper() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
  }
  coordinator_->Cancel();
  thread_.join();
}

void LeaseKeeper::Run() {
  do {
    MutexLock lock(&mutex_);
    const auto stopping = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return stopping_;
    };
    if (mutex_.AwaitFor(stopping, interval_)) return;
  } while (Renew());
}

bool LeaseKeeper::Renew() {
  v1::RenewRequest request;
  request.set_worker_id(worker_.value());
  request.set_generation(generation_);
  const absl::StatusOr<v1::RenewResponse> response =
      coordinator_->Renew(request);
  // By the destructor.
  if (absl::IsCancelled(response.status())) return false;
  if (!response.ok()) {
    board_.Interrupt(response.status());
    return false;
  }
  if (response->recall()) {
    board_.Interrupt(absl::AbortedError("there is other work to do"));
  }
  return true;
}

}  // namespace tessera
