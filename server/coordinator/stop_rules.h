// When a job has reached its end: a function of its evaluations alone, so that
// it does not depend on workers, time or chance.

#ifndef TESSERA_SERVER_COORDINATOR_STOP_RULES_H_
#define TESSERA_SERVER_COORDINATOR_STOP_RULES_H_

#include <cstdint>
#include <limits>

#include "server/coordinator/evaluation_tally.h"
#include "tessera/v1/checkpoint.pb.h"
#include "tessera/v1/coordinator.pb.h"
#include "tessera/v1/job.pb.h"

namespace tessera {

// What the rules look back on.
struct StopMemory {
  // As of the last evaluation that improved it by more than min_improvement:
  // many small improvements may still add up to one.
  double best_loss = std::numeric_limits<double>::infinity();
  int without_improvement = 0;

  friend bool operator==(const StopMemory&, const StopMemory&) = default;
};

// The fields of `state` that hold it.
StopMemory StopMemoryOf(const v1::CoordinatorState& state);
void SetStopMemory(const StopMemory& memory, v1::CoordinatorState& state);

// Not thread-safe.
class StopRules {
 public:
  // `max_steps` is what the job's steps and epochs come to.
  StopRules(const v1::Stop& stop, int64_t max_steps)
      : stop_(stop), max_steps_(max_steps) {}

  // Takes the next evaluation, in order of versions. Returns why the job ends
  // with it, or END_REASON_UNSPECIFIED. When several rules hold, the one that
  // says most about the result is named: accuracy, loss, plateau, steps.
  v1::EndReason AfterEvaluation(int64_t version,
                                const EvaluationResult& result);

  const StopMemory& memory() const { return memory_; }
  // Goes on from there.
  void Restart(const StopMemory& memory) { memory_ = memory; }

 private:
  bool OnPlateau(double loss);

  const v1::Stop stop_;
  const int64_t max_steps_;
  StopMemory memory_;
};

}  // namespace tessera

#endif  // TESSERA_SERVER_COORDINATOR_STOP_RULES_H_
