// The coordinator's calls from servers, and about checkpoints.

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "server/service/coordinator_handler.h"

namespace tessera {

CoordinatorHandler::Wait CoordinatorHandler::WaitForOrders(
    const v1::AttendRequest& request, AttendDone done) {
  Wait wait;
  wait.shard = request.shard();
  wait.incarnation = request.incarnation();
  // One that waited longer would be taken for silent.
  wait.deadline = std::min(DeadlineAfter(request.wait_ms()),
                           Now() + coordinator_->MaxAttendWait());
  wait.fail = done;
  wait.look = [this, request, deadline = wait.deadline,
               done = std::move(done)](absl::Time now)
                  ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) -> Answer {
    if (coordinator_->orders() == request.orders_seen() && now < deadline) {
      return nullptr;
    }
    return
        [done, orders = coordinator_->Attend(request, now)] { done(orders); };
  };
  return wait;
}

uint64_t CoordinatorHandler::Attend(const v1::AttendRequest& request,
                                    AttendDone done) {
  Answers answers;
  std::vector<Wait> replaced;
  uint64_t ticket = 0;
  {
    MutexLock lock(&mutex_);
    absl::Status status = CheckRunning();
    // What the shard says of itself, before anything waits.
    if (status.ok()) status = coordinator_->Attend(request, Now()).status();
    if (status.ok()) {
      // It would say again what is no longer so.
      replaced = Remove([&request](const Wait& w) {
        return w.shard == request.shard() &&
               w.incarnation == request.incarnation();
      });
      ticket = Add(WaitForOrders(request, std::move(done)));
      answers = Reexamine();
    } else {
      answers.push_back([done = std::move(done), status] { done(status); });
    }
  }
  for (const Wait& wait : replaced) {
    wait.fail(absl::CancelledError("a later call has taken this one's place"));
  }
  GiveAll(answers);
  return ticket;
}

absl::StatusOr<v1::WriteCheckpointResponse> CoordinatorHandler::ToResponse(
    const CheckpointOutcome& outcome) const {
  TESSERA_RETURN_IF_ERROR(outcome.status);
  v1::WriteCheckpointResponse response;
  response.set_version(outcome.version);
  response.set_bytes(outcome.bytes);
  if (options_.describe_set != nullptr) {
    response.set_folder(options_.describe_set(outcome.version, outcome.set_id));
  }
  return response;
}

CoordinatorHandler::Wait CoordinatorHandler::WaitForCheckpoint(
    uint64_t set_id, WriteCheckpointDone done) {
  Wait wait;
  wait.deadline = Now() + kMaxCheckpointWait;
  wait.fail = done;
  wait.look = [this, set_id, deadline = wait.deadline,
               done = std::move(done)](absl::Time now)
                  ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) -> Answer {
    if (const auto outcome = coordinator_->OutcomeOf(set_id)) {
      return [done, response = ToResponse(*outcome)] { done(response); };
    }
    if (now < deadline) return nullptr;
    return [done] {
      done(absl::DeadlineExceededError(absl::StrCat(
          "the checkpoint is not written after ",
          absl::FormatDuration(kMaxCheckpointWait),
          "; its writing goes on, and the status shows how far it is")));
    };
  };
  return wait;
}

uint64_t CoordinatorHandler::WriteCheckpoint(WriteCheckpointDone done) {
  Answers answers;
  uint64_t ticket = 0;
  {
    MutexLock lock(&mutex_);
    absl::StatusOr<uint64_t> set_id;
    if (absl::Status running = CheckRunning(); running.ok()) {
      set_id = coordinator_->RequestCheckpoint(Now());
    } else {
      set_id = running;
    }
    if (set_id.ok()) {
      ticket = Add(WaitForCheckpoint(*set_id, std::move(done)));
    } else {
      answers.push_back(
          [done = std::move(done), why = set_id.status()] { done(why); });
    }
    for (Answer& answer : Reexamine()) answers.push_back(std::move(answer));
  }
  GiveAll(answers);
  return ticket;
}

void CoordinatorHandler::OnManifestWritten(uint64_t set_id,
                                           const absl::Status& status,
                                           int64_t bytes) {
  Answers answers;
  {
    MutexLock lock(&mutex_);
    coordinator_->OnManifestWritten(set_id, status, bytes, Now());
    answers = Reexamine();
  }
  GiveAll(answers);
}

}  // namespace tessera
