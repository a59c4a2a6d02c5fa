// Membership, leases and progress of one job: a state machine.
//
// It knows no clock, no thread and no network: the time is passed in, and every
// method runs to its end. Work is a sequence of phases,
//
//    train(0) train(1) ... [evaluate(v)] train(v) ... evaluate(last) | ended
//
// each cut into units (tree nodes of microbatches; runs of evaluation chunks)
// that are leased to workers. A worker may be granted units of the phase after
// the current one once all of the current phase's are leased: it starts as soon as
// the blocks that it needs are there. It is never granted anything beyond an
// evaluation that is not finished, because that may end the job.
//
// A training phase is over when a worker proves that it held every block of
// version step + 1 (GetWork's have_version); an evaluation when all chunks are
// reported. A worker that is silent for longer than the lease loses all units that
// it held in phases that are not over.

#ifndef TESSERA_SERVER_COORDINATOR_COORDINATOR_H_
#define TESSERA_SERVER_COORDINATOR_COORDINATOR_H_

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "common/base/strong_id.h"
#include "common/job/job.h"
#include "common/plan/reduction_tree.h"
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

struct WorkReport {
  // See GetWorkRequest.
  int64_t have_version = -1;
  double microbatch_seconds = 0;
  bool gives_up_last = false;
};

// One chunk of an evaluation.
struct ChunkScore {
  double loss_sum = 0;
  int64_t correct = 0;
};

// Not thread-safe: its owner serialises calls. Times passed in may repeat or go
// back (they are then taken as equal to the latest).
class Coordinator {
 public:
  // `job` must outlive the coordinator.
  static std::unique_ptr<Coordinator> Create(const Job& job,
                                             const CoordinatorOptions& options);

  virtual ~Coordinator() = default;

  // Makes a new member. Codes: UNAVAILABLE when the job has ended.
  virtual absl::StatusOr<WorkerId> Join(const std::string& label,
                                        absl::Time now) = 0;

  // Grants the next unit and gives up what this worker held of the phase that it
  // was granted before, if that phase is over. Units that it holds in a phase
  // that is not over stay its own (their pushes are under way). Codes: NOT_FOUND
  // when the worker is no member.
  virtual absl::StatusOr<Grant> GetWork(WorkerId worker,
                                        const WorkReport& report,
                                        absl::Time now) = 0;

  // Extends the worker's lease. Returns whether it should drop what it waits for
  // and ask again, because a unit of an earlier phase lies free. Codes: NOT_FOUND.
  virtual absl::StatusOr<bool> Renew(WorkerId worker, absl::Time now) = 0;

  // Takes scores for chunks [chunk_begin, chunk_begin + scores.size()) of the
  // evaluation at `version`. Scores for an evaluation that is over, or chunks
  // that are in already, change nothing. Codes: NOT_FOUND for no member;
  // INVALID_ARGUMENT for chunks out of range, a version that is never evaluated,
  // or a loss that is NaN.
  virtual absl::Status ReportEvaluation(WorkerId worker, int64_t version,
                                        int chunk_begin,
                                        absl::Span<const ChunkScore> scores,
                                        absl::Time now) = 0;

  // Gives back what the worker held. Not an error for a worker that is gone.
  virtual void Leave(WorkerId worker, absl::Time now) = 0;

  // Shard 0 applied a step; its mean loss is recorded once.
  virtual void OnStepApplied(int64_t step, double mean_loss,
                             absl::Time now) = 0;

  // Asks for an early end: at the end of the current training phase, without a
  // further evaluation... of anything but the version then reached.
  virtual void RequestStop(absl::Time now) = 0;

  // Lets leases run out. Call now and then, at least a few times a lease.
  virtual void Tick(absl::Time now) = 0;

  // Whether the phase is PHASE_ENDED.
  virtual bool ended() const = 0;
  // Steps that are complete on all shards.
  virtual int64_t steps_done() const = 0;

  // See GetStatusResponse.
  virtual v1::GetStatusResponse Status(absl::Time now) const = 0;
};

}  // namespace tessera

#endif  // TESSERA_SERVER_COORDINATOR_COORDINATOR_H_
