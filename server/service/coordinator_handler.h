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
#include "tessera/v1/coordinator.pb.h"

namespace tessera {

// Called exactly once, perhaps before GetWork returns, on any thread that calls
// the handler; never while a lock is held.
using GetWorkDone = std::function<void(absl::StatusOr<v1::GetWorkResponse>)>;

// Thread-safe. Codes of all calls: those listed in coordinator.proto, and
// UNAVAILABLE after Stop.
class CoordinatorHandler {
 public:
  using Clock = std::function<absl::Time()>;

  // `job` must outlive the handler. `options` are those that the coordinator
  // was made with. The clock is called under the handler's lock.
  CoordinatorHandler(const Job& job, std::unique_ptr<Coordinator> coordinator,
                     const CoordinatorOptions& options, Clock clock);

  absl::StatusOr<v1::JoinResponse> Join(const v1::JoinRequest& request);

  // A call without work waits: it is looked at again after every change, in the
  // order in which calls came, and answered with NoWorkYet when `wait_ms` (at
  // most kMaxWait) are over. Returns a ticket for CancelWait.
  uint64_t GetWork(const v1::GetWorkRequest& request, GetWorkDone done);
  static constexpr absl::Duration kMaxWait = absl::Seconds(60);

  // Answers a waiting call with CANCELLED; does nothing to one that is
  // answered.
  void CancelWait(uint64_t ticket);

  absl::StatusOr<v1::RenewResponse> Renew(const v1::RenewRequest& request);
  absl::StatusOr<v1::ReportEvaluationResponse> ReportEvaluation(
      const v1::ReportEvaluationRequest& request);
  absl::StatusOr<v1::LeaveResponse> Leave(const v1::LeaveRequest& request);
  absl::StatusOr<v1::GetStatusResponse> GetStatus();

  // See the coordinator's methods of these names.
  void OnStepApplied(int64_t step, double mean_loss);
  absl::Status RequestStop();

  // Lets leases and waits run out by the clock.
  void Tick();

  // Ticks whenever something may be due, until Stop: for a thread of its own.
  // The clock must run like the wall's.
  void RunTimer();

  // Answers every waiting call, and all later ones, with UNAVAILABLE.
  void Stop();

 private:
  struct Wait {
    uint64_t ticket = 0;
    WorkerId worker;
    WorkReport report;
    absl::Time deadline;
    GetWorkDone done;
  };
  // Answers that are ready, to be given once the lock is released.
  using Answers = std::vector<std::function<void()>>;

  absl::Status CheckRunning() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Time Now() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return clock_();
  }
  absl::Time NextDue() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool TryAnswer(Wait& wait, absl::Time now, Answers& answers)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Looks at all waiting calls again. Call after every change of state.
  Answers Reexamine() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Job& job_;
  const CoordinatorOptions options_;
  const Clock clock_;

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
