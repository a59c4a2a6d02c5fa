// Membership, leases and progress of one job: a state machine.
//
// It knows no clock, no thread and no network: the time is passed in, and every
// method runs to its end. Work is a sequence of phases,
//
//    train(0) train(1) ... [evaluate(v)] train(v) ... evaluate(last) | ended
//
// each cut into units (tree nodes of microbatches; runs of evaluation chunks)
// that are leased to workers. A worker may be granted units of the phase after
// the current one once all of the current phase's are leased: it starts as soon
// as the blocks that it needs are there. It is never granted anything beyond an
// evaluation that is not finished, because that may end the job.
//
// A training phase is over when a worker proves that it held every block of
// version step + 1 (GetWork's have_version, or a score of that version); an
// evaluation when all chunks are reported. A worker that is silent for longer
// than the lease is no member any more, and loses all units that it held in
// phases that are not over. What it had pushed still counts.
//
// The version that a job ends at is evaluated, and no unit of a step that
// starts from it is ever granted: every block of every shard ends at that
// version.

#ifndef TESSERA_SERVER_COORDINATOR_COORDINATOR_H_
#define TESSERA_SERVER_COORDINATOR_COORDINATOR_H_

#include <cstdint>
#include <memory>
#include <string>
#include <variant>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "common/base/strong_id.h"
#include "common/job/job.h"
#include "common/plan/reduction_tree.h"
#include "server/coordinator/evaluation_tally.h"
#include "server/coordinator/history.h"
#include "server/coordinator/membership.h"
#include "server/coordinator/progress.h"
#include "server/coordinator/unit_ledger.h"
#include "tessera/v1/coordinator.pb.h"

namespace tessera {

struct CoordinatorOptions {
  absl::Duration lease = absl::Seconds(10);
  // Added to worker ids, so that those of a coordinator that was started anew
  // differ from its predecessor's.
  uint64_t first_worker_id = 1;
  int shard_count = 1;
};

struct TrainGrant {
  int64_t step = 0;
  MicrobatchRange range;
};

struct EvaluateGrant {
  int64_t version = 0;
  int chunk_begin = 0;
  int chunk_end = 0;
};

struct NoGrant {};  // Ask again later.

struct EndGrant {
  v1::EndReason reason = v1::END_REASON_UNSPECIFIED;
};

using Grant = std::variant<NoGrant, TrainGrant, EvaluateGrant, EndGrant>;

// See GetWorkRequest.
struct WorkReport {
  int64_t have_version = -1;
  double microbatch_seconds = 0;
  bool gives_up_last = false;
  uint64_t request_number = 0;
};

// Not thread-safe: its owner serialises calls. Times passed in may repeat or go
// back (they are then taken as equal to the latest).
class Coordinator {
 public:
  // `job` must outlive the coordinator.
  static std::unique_ptr<Coordinator> Create(const Job& job,
                                             const CoordinatorOptions& options);

  Coordinator(const Coordinator&) = delete;
  Coordinator& operator=(const Coordinator&) = delete;

  // Makes a new member. Codes: UNAVAILABLE when the job has ended.
  absl::StatusOr<WorkerId> Join(const std::string& label, absl::Time now);

  // Grants the next unit, and extends the worker's lease. What the worker holds
  // in the current training phase stays its own (its pushes are under way), but
  // for what it gives up; units of an evaluation or of the phase after the
  // current one that it comes back without go to whoever asks next. A
  // have_version that cannot exist yet proves nothing and is ignored.
  //
  // A request with the number of the one before is a repeat, or a look whether
  // work has appeared meanwhile: it gets the same unit again, reports nothing,
  // and does not extend the lease. One that is older gets nothing. Once the job
  // has ended, everyone is told so. Codes: NOT_FOUND when the worker is no
  // member.
  absl::StatusOr<Grant> GetWork(WorkerId worker, const WorkReport& report,
                                absl::Time now);

  // Extends the worker's lease. Returns whether it should drop what it waits
  // for and ask again, because a unit of an earlier phase lies free or the job
  // has ended. Codes: NOT_FOUND.
  absl::StatusOr<bool> Renew(WorkerId worker, absl::Time now);

  // Takes scores for chunks [chunk_begin, chunk_begin + scores.size()) of the
  // evaluation at `version`. Scores for an evaluation that is over or has not
  // begun, or chunks that are in already, change nothing. Codes: NOT_FOUND for
  // no member; INVALID_ARGUMENT for chunks out of range, a version that is
  // never evaluated, a loss that is NaN or infinite, or more correct answers
  // than the chunk has samples.
  absl::Status ReportEvaluation(WorkerId worker, int64_t version,
                                int chunk_begin,
                                absl::Span<const ChunkScore> scores,
                                absl::Time now);

  // Gives back what the worker held. Not an error for a worker that is gone.
  void Leave(WorkerId worker, absl::Time now);

  // Shard 0 applied a step; its mean loss is recorded once.
  void OnStepApplied(int64_t step, double mean_loss, absl::Time now);

  // Asks for an early end. The last version becomes the one that the newest
  // step granted so far leads to, or the current one if nothing was granted
  // from it; it is evaluated, unless it has been, and the job ends. Without any
  // member, then or later, it ends at once and without an evaluation: there is
  // no one to wait for.
  void RequestStop(absl::Time now);

  // Lets leases run out. Call now and then, at least a few times a lease.
  void Tick(absl::Time now);

  // Whether the phase is PHASE_ENDED.
  bool ended() const { return progress_.ended(); }
  // Steps that are complete on all shards; equally, the newest version that is.
  int64_t steps_done() const { return progress_.current().key.version; }

  // See GetStatusResponse.
  v1::GetStatusResponse Status(absl::Time now) const;

 private:
  Coordinator(const Job& job, const CoordinatorOptions& options);

  // Every call starts with it: takes the time, and lets leases run out.
  void Observe(absl::Time now);
  void EndIfStoppedAndDeserted();
  // Codes: NOT_FOUND.
  absl::StatusOr<Member*> FindMember(WorkerId worker);
  // The worker was heard of just now. Codes: NOT_FOUND.
  absl::Status Hear(WorkerId worker);

  // Some worker held every block of `version`: ends training phases before it.
  void Prove(int64_t version);
  void TakeReport(Member& member, const WorkReport& report);
  Grant NextGrant(Member& member);
  Grant GrantFrom(Phase& phase, Member& member);
  absl::Status CheckScores(int64_t version, int chunk_begin,
                           absl::Span<const ChunkScore> scores) const;

  // For Status; see coordinator_status.cc.
  void AddWorkers(absl::Time now, v1::GetStatusResponse& status) const;
  void AddWaiting(absl::Time now, v1::GetStatusResponse& status) const;
  std::string Holdings(WorkerId worker) const;
  absl::Duration Patience(const Unit& unit) const;

  const Job& job_;
  const CoordinatorOptions options_;

  absl::Time now_ = absl::InfinitePast();  // The latest seen.
  Membership members_;
  Progress progress_;
  History history_;
};

}  // namespace tessera

#endif  // TESSERA_SERVER_COORDINATOR_COORDINATOR_H_
