#include "server/coordinator/history.h"

#include <utility>

namespace tessera {
namespace {

template <typename Record>
void Append(Record record, std::deque<Record>& records) {
  records.push_back(std::move(record));
  if (records.size() > History::kCapacity) records.pop_front();
}

}  // namespace

void History::AddStep(int64_t step, double mean_loss) {
  if (!steps_.empty() && step <= steps_.back().step()) return;
  v1::StepRecord record;
  record.set_step(step);
  record.set_loss(mean_loss);
  Append(std::move(record), steps_);
}

void History::AddEvaluation(int64_t version, const EvaluationResult& result) {
  v1::EvaluationRecord record;
  record.set_version(version);
  record.set_loss(result.loss);
  record.set_accuracy(result.accuracy);
  Append(std::move(record), evaluations_);
}

void History::Restart(const v1::CoordinatorState& state) {
  steps_.assign(state.steps().begin(), state.steps().end());
  evaluations_.assign(state.evaluations().begin(), state.evaluations().end());
}

void History::WriteTo(int64_t version, v1::CoordinatorState& state) const {
  for (const v1::StepRecord& record : steps_) {
    if (record.step() < version) *state.add_steps() = record;
  }
  for (const v1::EvaluationRecord& record : evaluations_) {
    if (record.version() < version) *state.add_evaluations() = record;
  }
}

void History::WriteTo(v1::GetStatusResponse& status) const {
  status.mutable_steps()->Assign(steps_.begin(), steps_.end());
  status.mutable_evaluations()->Assign(evaluations_.begin(),
                                       evaluations_.end());
}

}  // namespace tessera
