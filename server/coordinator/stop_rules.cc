#include "server/coordinator/stop_rules.h"

#include <cmath>

namespace tessera {

StopMemory StopMemoryOf(const v1::CoordinatorState& state) {
  StopMemory memory;
  if (state.has_best_loss()) memory.best_loss = state.best_loss();
  memory.without_improvement = state.without_improvement();
  return memory;
}

void SetStopMemory(const StopMemory& memory, v1::CoordinatorState& state) {
  state.set_has_best_loss(std::isfinite(memory.best_loss));
  state.set_best_loss(state.has_best_loss() ? memory.best_loss : 0);
  state.set_without_improvement(memory.without_improvement);
}

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
  if (loss < memory_.best_loss - double{stop_.plateau().min_improvement()}) {
    memory_.best_loss = loss;
    memory_.without_improvement = 0;
    return false;
  }
  return ++memory_.without_improvement >= stop_.plateau().evaluations();
}

}  // namespace tessera
