#include "server/service/local_coordinator_link.h"

#include <optional>
#include <utility>

namespace tessera {

absl::StatusOr<v1::AttendResponse> LocalCoordinatorLink::Attend(
    const v1::AttendRequest& request) {
  std::optional<absl::StatusOr<v1::AttendResponse>> answer;
  const uint64_t ticket = handler_.Attend(
      request, [this, &answer](absl::StatusOr<v1::AttendResponse> orders) {
        MutexLock lock(&mutex_);
        answer = std::move(orders);
      });
  bool has_answer;
  {
    MutexLock lock(&mutex_);
    mutex_.Await([&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return interrupted_ || answer.has_value();
    });
    interrupted_ = false;
    has_answer = answer.has_value();
  }
  if (!has_answer) {
    handler_.CancelWait(ticket);
    // It may have been answered just then.
    MutexLock lock(&mutex_);
    mutex_.Await([&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return answer.has_value();
    });
  }
  return *std::move(answer);
}

void LocalCoordinatorLink::Interrupt() {
  MutexLock lock(&mutex_);
  interrupted_ = true;
}

}  // namespace tessera
