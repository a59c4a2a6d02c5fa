// The coordinator's calls as plain functions: a mutex around the state machine,
// and the calls that wait for work. Knows messages but no network.

#ifndef TESSERA_SERVER_SERVICE_COORDINATOR_HANDLER_H_
#define TESSERA_SERVER_SERVICE_COORDINATOR_HANDLER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/mutex.h"
#include "common/job/job.h"
#include "server/coordinator/coordinator.h"
#include "tessera/v1/admin.pb.h"
#include "tessera/v1/checkpoint.pb.h"
#include "tessera/v1/coordinator.pb.h"
#include "tessera/v1/shard.pb.h"

namespace tessera {

// Called exactly once, perhaps before the call returns, on any thread that
// calls the handler; never while a lock is held.
using GetWorkDone = std::function<void(absl::StatusOr<v1::GetWorkResponse>)>;
using AttendDone = std::function<void(absl::StatusOr<v1::AttendResponse>)>;
using WriteCheckpointDone =
    std::function<void(absl::StatusOr<v1::WriteCheckpointResponse>)>;

// Takes a manifest to be written, under the same conditions, but as often as
// there is one; without blocking.
using ManifestTaker = std::function<void(v1::CheckpointManifest)>;

// Thread-safe. Codes of all calls: those listed in coordinator.proto,
// shard.proto and admin.proto, and UNAVAILABLE after Stop.
class CoordinatorHandler {
 public:
  using Clock = std::function<absl::Time()>;

  // `job` must outlive the handler. `options` are those that the coordinator
  // was made with. The clock is called under the handler's lock.
  // `take_manifest` may be null where no checkpoints are made.
  CoordinatorHandler(const Job& job, std::unique_ptr<Coordinator> coordinator,
                     const CoordinatorOptions& options, Clock clock,
                     ManifestTaker take_manifest = nullptr);

  absl::StatusOr<v1::JoinResponse> Join(const v1::JoinRequest& request);

  // A call without work waits: it is looked at again after every change, in the
  // order in which calls came, and answered with NoWorkYet when `wait_ms` (at
  // most kMaxWait) are over. Returns a ticket for CancelWait.
  uint64_t GetWork(const v1::GetWorkRequest& request, GetWorkDone done);
  static constexpr absl::Duration kMaxWait = absl::Seconds(60);

  // A call waits while the shard has no other orders than those it has seen,
  // for `wait_ms` (at most kMaxWait). A later call of the same shard ends the
  // wait of an earlier one. Returns a ticket for CancelWait.
  uint64_t Attend(const v1::AttendRequest& request, AttendDone done);

  // Waits for the checkpoint to be complete, or to have failed, for
  // kMaxCheckpointWait at most: DEADLINE_EXCEEDED then. Returns a ticket for
  // CancelWait; the checkpoint is made all the same.
  uint64_t WriteCheckpoint(WriteCheckpointDone done);
  static constexpr absl::Duration kMaxCheckpointWait = absl::Minutes(15);

  // Answers a waiting call with CANCELLED; does nothing to one that is
  // answered.
  void CancelWait(uint64_t ticket);

  absl::StatusOr<v1::RenewResponse> Renew(const v1::RenewRequest& request);
  absl::StatusOr<v1::ReportEvaluationResponse> ReportEvaluation(
      const v1::ReportEvaluationRequest& request);
  absl::StatusOr<v1::LeaveResponse> Leave(const v1::LeaveRequest& request);
  absl::StatusOr<v1::GetStatusResponse> GetStatus();

  // See the coordinator's methods of these names.
  void OnStepApplied(int64_t generation, int64_t step, double mean_loss);
  void OnManifestWritten(uint64_t set_id, const absl::Status& status,
                         int64_t bytes);
  absl::Status RequestStop();

  // Lets leases and waits run out by the clock.
  void Tick();

  // Ticks whenever something may be due, until Stop: for a thread of its own.
  // The clock must run like the wall's.
  void RunTimer();

  // Answers every waiting call, and all later ones, with UNAVAILABLE.
  void Stop();

 private:
  // An answer that is ready, to be given once the lock is released; null while
  // there is none.
  using Answer = std::function<void()>;
  using Answers = std::vector<Answer>;
  struct Wait {
    uint64_t ticket = 0;
    absl::Time deadline;
    // Looks, under the lock, whether the call can be answered.
    std::function<Answer(absl::Time now)> look;
    // Answers with an error, not under the lock.
    std::function<void(const absl::Status&)> fail;
    // Whose attendance it is; -1 for other calls.
    int shard = -1;
    uint64_t incarnation = 0;
  };

  absl::Status CheckRunning() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Time Now() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return clock_();
  }
  // When that time after now is over, within bounds.
  absl::Time DeadlineAfter(int64_t wait_ms) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Time NextDue() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Lets a call wait. Returns its ticket.
  uint64_t Add(Wait wait) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Takes waits out that the condition holds for.
  std::vector<Wait> Remove(const std::function<bool(const Wait&)>& condition)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Looks at all waiting calls again. Call after every change of state.
  Answers Reexamine() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  static void GiveAll(const Answers& answers);

  Wait WaitForWork(const v1::GetWorkRequest& request, GetWorkDone done)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Wait WaitForOrders(const v1::AttendRequest& request, AttendDone done)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Wait WaitForCheckpoint(uint64_t set_id, WriteCheckpointDone done)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<v1::WriteCheckpointResponse> ToResponse(
      const CheckpointOutcome& outcome) const;

  const Job& job_;
  const CoordinatorOptions options_;
  const Clock clock_;
  const ManifestTaker take_manifest_;

  mutable Mutex mutex_;
  const std::unique_ptr<Coordinator> coordinator_ ABSL_PT_GUARDED_BY(mutex_);
  // In order of arrival.
  std::vector<Wait> waits_ ABSL_GUARDED_BY(mutex_);
  uint64_t last_ticket_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Time last_tick_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace tessera

#endif  // TESSERA_SERVER_SERVICE_COORDINATOR_HANDLER_H_
