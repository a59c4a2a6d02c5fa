// When a job has reached its end: a function of its evaluations alone, so that
// it does not depend on workers, time or chance.

#ifndef TESSERA_SERVER_COORDINATOR_STOP_RULES_H_
#define TESSERA_SERVER_COORDINATOR_STOP_RULES_H_

#include <cstdint>
#include <limits>

#include "server/coordinator/evaluation_tally.h"
#include "tessera/v1/coordinator.pb.h"
#include "tessera/v1/job.pb.h"

namespace tessera {

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

 private:
  bool OnPlateau(double loss);

  const v1::Stop stop_;
  const int64_t max_steps_;
  // As of the last evaluation that improved it by more than min_improvement:
  // many small improvements may still add up to one.
  double best_loss_ = std::numeric_limits<double>::infinity();
  int without_improvement_ = 0;
};

}  // namespace tessera

#endif  // TESSERA_SERVER_COORDINATOR_STOP_RULES_H_
