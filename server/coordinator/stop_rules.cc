#include "server/coordinator/stop_rules.h"

namespace tessera {

v1::EndReason StopRules::AfterEvaluation(int64_t version,
                                         const EvaluationResult& result) {
  // Looked at every time, whatever else holds: it counts evaluations.
  const bool on_plateau = OnPlateau(result.loss);
  // Compared as floats, as targets are: 0.1f is above the double 0.1.
  if (stop_.target_accuracy() > 0 &&
      static_cast<float>(result.accuracy) >= stop_.target_accuracy()) {
    return v1::END_REASON_TARGET_ACCURACY;
  }
  if (stop_.target_loss() > 0 &&
      static_cast<float>(result.loss) <= stop_.target_loss()) {
    return v1::END_REASON_TARGET_LOSS;
  }
  if (on_plateau) return v1::END_REASON_PLATEAU;
  if (version >= max_steps_) return v1::END_REASON_STEPS;
  return v1::END_REASON_UNSPECIFIED;
}

bool StopRules::OnPlateau(double loss) {
  if (!stop_.has_plateau()) return false;
  if (loss < best_loss_ - double{stop_.plateau().min_improvement()}) {
    best_loss_ = loss;
    without_improvement_ = 0;
    return false;
  }
  return ++without_improvement_ >= stop_.plateau().evaluations();
}

}  // namespace tessera
