// What a job has gone through, for people who watch it.

#ifndef TESSERA_SERVER_COORDINATOR_HISTORY_H_
#define TESSERA_SERVER_COORDINATOR_HISTORY_H_

#include <cstddef>
#include <cstdint>
#include <deque>

#include "server/coordinator/evaluation_tally.h"
#include "tessera/v1/checkpoint.pb.h"
#include "tessera/v1/coordinator.pb.h"

namespace tessera {

// Not thread-safe.
class History {
 public:
  // Of steps, and of evaluations, the newest this many are kept.
  static constexpr size_t kCapacity = 4096;

  // Steps come in order; one at or below the newest is a repeat and left out.
  void AddStep(int64_t step, double mean_loss);
  void AddEvaluation(int64_t version, const EvaluationResult& result);

  // Goes on from what had been recorded when `state` was written.
  void Restart(const v1::CoordinatorState& state);
  // Fills in `steps` and `evaluations`, with what comes before `version`.
  void WriteTo(int64_t version, v1::CoordinatorState& state) const;

  // Fills in `steps` and `evaluations`.
  void WriteTo(v1::GetStatusResponse& status) const;

 private:
  std::deque<v1::StepRecord> steps_;
  std::deque<v1::EvaluationRecord> evaluations_;
};

}  // namespace tessera

#endif  // TESSERA_SERVER_COORDINATOR_HISTORY_H_
