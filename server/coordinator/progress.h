// Where a job stands: the phase under way, the one after it, and how it ends.
//
//          current                      next
//    train(t), all leased  ->  train(t + 1) or evaluate(t + 1)
//    evaluate(v)           ->  none: the evaluation may end the job

#ifndef TESSERA_SERVER_COORDINATOR_PROGRESS_H_
#define TESSERA_SERVER_COORDINATOR_PROGRESS_H_

#include <cstdint>
#include <optional>

#include "absl/time/time.h"
#include "common/base/strong_id.h"
#include "common/job/job.h"
#include "server/coordinator/evaluation_tally.h"
#include "server/coordinator/phase.h"
#include "server/coordinator/stop_rules.h"
#include "server/coordinator/unit_ledger.h"
#include "tessera/v1/coordinator.pb.h"

namespace tessera {

struct Phase {
  PhaseKey key;
  UnitLedger units;
  EvaluationTally tally;  // Of an evaluation; empty for training.
  absl::Time started;     // When it became the current one.
};

// Not thread-safe. Pointers and references to phases hold until a method that
// is not const is called.
class Progress {
 public:
  // Starts with train(0). `job` must outlive the object.
  Progress(const Job& job, absl::Time now);

  const Phase& current() const { return current_; }
  Phase& current() { return current_; }
  // Null before the first use of MakeNext.
  const Phase* next() const { return next_ ? &*next_ : nullptr; }

  // What may be granted once all of `current` is leased: the phase after a
  // training phase. Null beside an evaluation.
  Phase* MakeNext(absl::Time now);

  // The phase under way that `key` names, or null.
  Phase* Find(const PhaseKey& key);

  // Frees all that `worker` holds.
  void ReleaseAll(WorkerId worker, absl::Time now);
  // Frees what it holds of evaluations and of the next phase.
  void ReleaseUnstarted(WorkerId worker, absl::Time now);

  // The newest version that can exist, going by what was granted.
  int64_t NewestPossibleVersion() const;
  // The version that the job ends at, at the latest.
  int64_t last_version() const { return last_version_; }

  // The current training phase is over: goes on to the next.
  void FinishTraining(absl::Time now);
  // All chunks of the current evaluation are in: goes on to the next phase, or
  // ends the job. Returns the evaluation's result.
  EvaluationResult FinishEvaluation(absl::Time now);

  // Makes the newest version that can exist the last one. Ends the job when
  // that is evaluated already. A second call changes nothing.
  void StopSoon(absl::Time now);
  void EndNow(v1::EndReason reason) { end_reason_ = reason; }

  // Goes back to `version`, before its evaluation, with nothing granted; a job
  // that has ended goes on. The last version stays what it is (but for one that
  // is below `version`), and so does a wish to stop.
  void Restart(int64_t version, const StopMemory& memory, absl::Time now);
  // What stop rules looked back on when the current version was reached.
  const StopMemory& memory_at_version() const { return memory_at_version_; }

  bool stopping() const { return stopping_; }
  bool ended() const { return end_reason_ != v1::END_REASON_UNSPECIFIED; }
  v1::EndReason end_reason() const { return end_reason_; }

 private:
  Phase MakePhase(const PhaseKey& key, absl::Time now) const;

  const Job& job_;
  StopRules rules_;
  StopMemory memory_at_version_;
  Phase current_;
  std::optional<Phase> next_;
  int64_t last_version_;
  int64_t evaluated_version_ = -1;  // The newest that was evaluated.
  bool stopping_ = false;
  v1::EndReason end_reason_ = v1::END_REASON_UNSPECIFIED;
};

}  // namespace tessera

#endif  // TESSERA_SERVER_COORDINATOR_PROGRESS_H_
