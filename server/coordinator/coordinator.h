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
// evaluation that is not finished, because that may end the job. Before it goes
// ahead, it repeats a unit of the current phase whose holder is slow, and the
// first answer counts.
//
// A training phase is over when a worker proves that it held every block of
// version step + 1 (GetWork's have_version, or a score of that version); an
// evaluation when all chunks are reported. A worker that is silent for longer
// than the lease is no member any more, and loses all units that it held in
// phases that are not over. What it had pushed still counts.
//
// Servers may go back to a checkpoint (shard_roll.h). Then the sequence goes on
// from that version's place in it, before its evaluation, in a new generation:
// all grants are void, and what was reported in another generation proves
// nothing. While servers are not all at one generation nothing is granted.
// Checkpoints are ordered by checkpoint_plan.h.
//
// The version that a job ends at is evaluated, and no unit of a step that
// starts from it is ever granted: every block of every shard ends at that
// version.

#ifndef TESSERA_SERVER_COORDINATOR_COORDINATOR_H_
#define TESSERA_SERVER_COORDINATOR_COORDINATOR_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "common/base/strong_id.h"
#include "common/job/job.h"
#include "server/coordinator/checkpoint_plan.h"
#include "server/coordinator/evaluation_tally.h"
#include "server/coordinator/grant.h"
#include "server/coordinator/history.h"
#include "server/coordinator/membership.h"
#include "server/coordinator/options.h"
#include "server/coordinator/progress.h"
#include "server/coordinator/shard_roll.h"
#include "server/coordinator/unit_ledger.h"
#include "tessera/v1/checkpoint.pb.h"
#include "tessera/v1/coordinator.pb.h"
#include "tessera/v1/shard.pb.h"

namespace tessera {

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
  // for and ask again, because a unit of an earlier phase needs hands, the job
  // has ended, or the generation of its work is over. Codes: NOT_FOUND.
  absl::StatusOr<bool> Renew(WorkerId worker, int64_t generation,
                             absl::Time now);

  // Takes scores for chunks [chunk_begin, chunk_begin + scores.size()) of the
  // evaluation at `version`. Scores for an evaluation that is over or has not
  // begun, of another generation, or for chunks that are in already, change
  // nothing. Codes: NOT_FOUND for no member; INVALID_ARGUMENT for chunks out of
  // range, a version that is never evaluated, a loss that is NaN or infinite,
  // or more correct answers than the chunk has samples.
  absl::Status ReportEvaluation(WorkerId worker, int64_t generation,
                                int64_t version, int chunk_begin,
                                absl::Span<const ChunkScore> scores,
                                absl::Time now);

  // Gives back what the worker held. Not an error for a worker that is gone.
  void Leave(WorkerId worker, absl::Time now);

  // Shard 0 applied a step; its mean loss is recorded once. One of another
  // generation is left out.
  void OnStepApplied(int64_t generation, int64_t step, double mean_loss,
                     absl::Time now);

  // Asks for an early end. The last version becomes the one that the newest
  // step granted so far leads to, or the current one if nothing was granted
  // from it; it is evaluated, unless it has been, and the job ends. Without any
  // member, then or later, it ends at once and without an evaluation: there is
  // no one to wait for.
  void RequestStop(absl::Time now);

  // Lets leases and waits run out, and time for checkpoints come. Call now and
  // then, at least a few times a lease.
  void Tick(absl::Time now);

  // Takes what a shard says of itself, and gives its orders. Does not wait: the
  // owner calls it again, with the same request, when orders() has changed
  // or the wait is over, which also counts as hearing of the shard. Waits of
  // more than MaxAttendWait would make it seem silent. After it, work may have
  // appeared or gone, and a manifest may be there to take. Codes:
  // FAILED_PRECONDITION for another job, shard count or shard, an
  // incarnation that another has taken the place of, and where servers do not
  // attend; INVALID_ARGUMENT for incarnation 0.
  absl::StatusOr<v1::AttendResponse> Attend(const v1::AttendRequest& request,
                                            absl::Time now);
  absl::Duration MaxAttendWait() const;
  // AttendResponse.orders as of now. Any call may change them.
  uint64_t orders() const { return orders_; }

  // Of the servers, as workers are told it: see GetWorkResponse. 0 unless all
  // shards are at it, and where servers do not attend.
  int64_t generation() const;

  // Asks for a checkpoint of a version soon to come, or of the last one, once
  // the job has ended. Returns the set to ask OutcomeOf for. Codes:
  // FAILED_PRECONDITION where none are made, UNAVAILABLE while servers are not
  // all at one generation.
  absl::StatusOr<uint64_t> RequestCheckpoint(absl::Time now);
  // How it went; nothing while that is open. Of those that are over, the newest
  // are known, others are NOT_FOUND. The set in it may be another, where the
  // attempt was put off to the job's end.
  std::optional<CheckpointOutcome> OutcomeOf(uint64_t set_id) const;

  // The manifest of a set whose files are all written: to be written now, and
  // then told of by OnManifestWritten. Gives it once. It lacks `job` and
  // `written_unix_ms`, which the caller fills in (SerializeJob is in
  // common/job/identity.h), and nobody has checked that the files' intervals
  // tile the vector: WriteManifest does.
  std::optional<v1::CheckpointManifest> TakeManifest();
  // The set is complete and lasts, or never will be. Changes nothing for a set
  // that was given up meanwhile. `bytes` are those of all files.
  void OnManifestWritten(uint64_t set_id, const absl::Status& status,
                         int64_t bytes, absl::Time now);

  // Whether the phase is PHASE_ENDED.
  bool ended() const { return progress_.ended(); }
  // Steps that are complete on all shards; equally, the newest version that is.
  int64_t steps_done() const { return progress_.current().key.version; }

  // See GetStatusResponse.
  v1::GetStatusResponse Status(absl::Time now) const;

 private:
  Coordinator(const Job& job, const CoordinatorOptions& options);

  void TakeTime(absl::Time now);
  // Every call starts with it: takes the time, and does what is due.
  void Observe(absl::Time now);
  // Every call that changes anything ends with it.
  void Settle();
  void EndIfStoppedAndDeserted();
  // The wait policy; see coordinator_waits.cc.
  void EndIfWaitedTooLong();
  std::vector<Awaited> ServerWaits(absl::Time now) const;
  absl::Duration ReportAfter() const;

  // For servers; see coordinator_shards.cc.
  absl::Status CheckAttendance(const v1::AttendRequest& request) const;
  v1::AttendResponse OrdersNow() const;
  // Whether the last orders that it saw are of this generation.
  bool Follows(const v1::AttendRequest& request) const;
  // Takes up what has become of the roll since it was of these.
  void FollowRoll(int64_t old_generation, bool was_running);
  void GoBack();
  CheckpointPlan::Stand Stand() const;
  void ConsiderCheckpoint();
  // Whether work can be granted.
  bool running() const { return !options_.servers_attend || roll_.running(); }
  // Whether what was reported in that generation holds in this one.
  bool IsCurrent(int64_t generation) const;
  // Codes: NOT_FOUND.
  absl::StatusOr<Member*> FindMember(WorkerId worker);
  // The worker was heard of just now. Codes: NOT_FOUND.
  absl::Status Hear(WorkerId worker);

  // Some worker held every block of `version`: ends training phases before it.
  void Prove(int64_t version);
  void TakeReport(Member& member, const WorkReport& report);
  Grant NextGrant(Member& member);
  // Whether the phase has units that may be granted.
  bool HasWork(const Phase& phase) const;
  Grant GrantFrom(Phase& phase, Member& member);
  // A unit of the current phase that the worker should repeat, because another
  // takes long over it; see coordinator_backups.cc.
  std::optional<UnitRange> BackupFor(const Member& member) const;
  // Whether the unit's holder still works on it, as far as is known.
  bool IsAt(const Member& holder, const Unit& unit) const;
  bool IsSlow(const Unit& unit, const Member& holder,
              const Member& member) const;
  // Of the current phase's units.
  absl::Duration ExpectedTime(const UnitRange& range, double speed) const;
  absl::Status CheckScores(int64_t version, int chunk_begin,
                           absl::Span<const ChunkScore> scores) const;

  // For Status; see coordinator_status.cc.
  void AddWorkers(absl::Time now, v1::GetStatusResponse& status) const;
  void AddWaiting(absl::Time now, v1::GetStatusResponse& status) const;
  void AddOverdueWork(absl::Time now, v1::GetStatusResponse& status) const;
  void AddServers(absl::Time now, v1::GetStatusResponse& status) const;
  std::string Holdings(WorkerId worker) const;
  absl::Duration Patience(const Unit& unit) const;

  const Job& job_;
  const CoordinatorOptions options_;

  absl::Time now_ = absl::InfinitePast();  // The latest seen.
  Membership members_;
  Progress progress_;
  History history_;
  ShardRoll roll_;
  CheckpointPlan plan_;
  v1::CoordinatorState pending_state_;  // Of the manifest that was taken.

  bool stop_requested_ = false;
  // When training or an evaluation last got further, or could begin to.
  absl::Time last_advance_ = absl::InfinitePast();

  // Numbers what servers were told. It starts at random, so that orders of two
  // coordinators are never taken for each other's.
  uint64_t orders_ = 0;
  uint64_t generation_orders_ = 0;  // The first of this generation.
  int64_t ordered_generation_ = 0;
  uint64_t ordered_capture_ = 0;
};

}  // namespace tessera

#endif  // TESSERA_SERVER_COORDINATOR_COORDINATOR_H_
