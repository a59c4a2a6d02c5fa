// How calls to the coordinator wait, and what wakes them.

#include <algorithm>
#include <utility>

#include "server/service/coordinator_handler.h"

namespace tessera {

absl::Time CoordinatorHandler::DeadlineAfter(int64_t wait_ms) const {
  return Now() + std::clamp(absl::Milliseconds(wait_ms), absl::ZeroDuration(),
                            kMaxWait);
}

uint64_t CoordinatorHandler::Add(Wait wait) {
  wait.ticket = ++last_ticket_;
  waits_.push_back(std::move(wait));
  return last_ticket_;
}

std::vector<CoordinatorHandler::Wait> CoordinatorHandler::Remove(
    const std::function<bool(const Wait&)>& condition) {
  std::vector<Wait> kept;
  std::vector<Wait> removed;
  for (Wait& wait : waits_) {
    (condition(wait) ? removed : kept).push_back(std::move(wait));
  }
  waits_ = std::move(kept);
  return removed;
}

void CoordinatorHandler::GiveAll(const Answers& answers) {
  for (const Answer& answer : answers) answer();
}

CoordinatorHandler::Answers CoordinatorHandler::Reexamine() {
  Answers answers;
  const absl::Time now = Now();
  size_t before;
  do {
    // An answer to one may be what another has waited for.
    before = answers.size();
    std::vector<Wait> waiting;
    for (Wait& wait : waits_) {
      if (Answer answer = wait.look(now); answer != nullptr) {
        answers.push_back(std::move(answer));
      } else {
        waiting.push_back(std::move(wait));
      }
    }
    waits_ = std::move(waiting);
  } while (answers.size() > before && !waits_.empty());
  if (take_manifest_ == nullptr) return answers;
  while (auto manifest = coordinator_->TakeManifest()) {
    answers.push_back(
        [this, manifest = *std::move(manifest)] { take_manifest_(manifest); });
  }
  return answers;
}

void CoordinatorHandler::CancelWait(uint64_t ticket) {
  std::vector<Wait> cancelled;
  {
    MutexLock lock(&mutex_);
    cancelled = Remove([ticket](const Wait& w) { return w.ticket == ticket; });
  }
  for (const Wait& wait : cancelled) {
    wait.fail(absl::CancelledError("the caller gave up waiting"));
  }
}

void CoordinatorHandler::Tick() {
  Answers answers;
  {
    MutexLock lock(&mutex_);
    last_tick_ = Now();
    coordinator_->Tick(last_tick_);
    answers = Reexamine();
  }
  GiveAll(answers);
}

absl::Time CoordinatorHandler::NextDue() const {
  absl::Time due = last_tick_ + options_.lease / 4;
  for (const Wait& wait : waits_) due = std::min(due, wait.deadline);
  return due;
}

void CoordinatorHandler::RunTimer() {
  while (true) {
    {
      MutexLock lock(&mutex_);
      const absl::Time due = NextDue();
      // A wait that ends before that may come.
      const auto changed = [this, due]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
        return stopping_ || NextDue() < due;
      };
      const bool early = mutex_.AwaitFor(changed, due - Now());
      if (stopping_) return;
      if (early) continue;
    }
    Tick();
  }
}

void CoordinatorHandler::Stop() {
  std::vector<Wait> waits;
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
    waits.swap(waits_);
  }
  for (const Wait& wait : waits) {
    wait.fail(absl::UnavailableError("the coordinator's server is stopping"));
  }
}

}  // namespace tessera
