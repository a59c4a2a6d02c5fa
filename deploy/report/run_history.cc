#include "deploy/report/run_history.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"

namespace tessera {
namespace {

using nlohmann::ordered_json;

}  // namespace

RunHistory::RunHistory(const std::string& metrics_path) : path_(metrics_path) {
  if (!path_.empty()) file_.open(path_, std::ios::trunc);
}

void RunHistory::DropUndone(const v1::GetStatusResponse& status,
                            double seconds) {
  // Until all servers are back, nobody knows how far.
  if (status.phase() == v1::PHASE_RECOVERING || steps_.empty()) return;
  // Losses are there before a step counts as done.
  int64_t end = status.steps_done();
  if (!status.steps().empty()) {
    end = std::max(end, status.steps().rbegin()->step() + 1);
  }
  if (steps_.back().step() < end) return;
  while (!steps_.empty() && steps_.back().step() >= end) steps_.pop_back();
  while (!evaluations_.empty() && evaluations_.back().version() > end) {
    evaluations_.pop_back();
  }
  file_ << ordered_json{{"kind", "rollback"},
                        {"step", end},
                        {"seconds", seconds}}
               .dump()
        << '\n';
}

void RunHistory::Update(const v1::GetStatusResponse& status, double seconds) {
  DropUndone(status, seconds);
  for (const v1::StepRecord& step : status.steps()) {
    if (!steps_.empty() && step.step() <= steps_.back().step()) continue;
    steps_.push_back(step);
    file_ << ordered_json{{"kind", "step"},
                          {"step", step.step()},
                          {"loss", step.loss()},
                          {"seconds", seconds}}
                 .dump()
          << '\n';
  }
  for (const v1::EvaluationRecord& evaluation : status.evaluations()) {
    if (!evaluations_.empty() &&
        evaluation.version() <= evaluations_.back().version()) {
      continue;
    }
    evaluations_.push_back(evaluation);
    file_ << ordered_json{{"kind", "evaluation"},
                          {"step", evaluation.version()},
                          {"loss", evaluation.loss()},
                          {"accuracy", evaluation.accuracy()},
                          {"seconds", seconds}}
                 .dump()
          << '\n';
  }
  file_.flush();
}

double RunHistory::RecentTrainLoss(int64_t steps_per_epoch) const {
  const size_t count =
      std::min(steps_.size(), static_cast<size_t>(steps_per_epoch));
  if (count == 0) return 0;
  double sum = 0;
  for (size_t i = steps_.size() - count; i < steps_.size(); ++i) {
    sum += steps_[i].loss();
  }
  return sum / static_cast<double>(count);
}

Curves RunHistory::ToCurves(const std::string& title,
                            bool with_accuracy) const {
  Curves curves{.title = title};
  for (const v1::StepRecord& step : steps_) {
    curves.train_loss.push_back(
        {static_cast<double>(step.step()), step.loss()});
  }
  for (const v1::EvaluationRecord& evaluation : evaluations_) {
    const auto step = static_cast<double>(evaluation.version());
    curves.test_loss.push_back({step, evaluation.loss()});
    if (with_accuracy) {
      curves.test_accuracy.push_back({step, evaluation.accuracy()});
    }
  }
  return curves;
}

absl::Status RunHistory::Check() const {
  if (path_.empty() || file_.good()) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat("could not write all of ", path_));
}

}  // namespace tessera
