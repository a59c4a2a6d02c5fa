#include "tests/simulation/recovery/reference.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "server/coordinator/stop_rules.h"
#include "server/shard/initializer.h"
#include "tests/simulation/random.h"
#include "tests/support/test_job.h"

namespace tessera {
namespace {

constexpr float kMomentum = 0.5f;
constexpr float kRate = 0.125f;

// Values of very different sizes, so that every order of summing shows.
float GradientOf(int64_t step, int microbatch, size_t element) {
  const uint64_t bits = Mix(Mix(static_cast<uint64_t>(step) * 1000003 +
                                static_cast<uint64_t>(microbatch)) +
                            element);
  const float u = static_cast<float>(bits >> 40) * 0x1p-24f - 0.5f;
  return std::ldexp(u, static_cast<int>(bits % 12));
}

}  // namespace

Reference::Reference(const Job& job) : job_(job) {
  const auto elements = static_cast<size_t>(job.layout().total_elements());
  parameters_.emplace_back(elements);
  DrawParameters(job.layout(), job.proto().seed(), 0,
                 absl::MakeSpan(parameters_[0]));
  momenta_.emplace_back(elements, 0.0f);
  for (int64_t step = 0; step < job.max_steps(); ++step) TakeStep(step);
  FindTheEnd();
}

std::vector<float> Reference::Gradient(int64_t step,
                                       const MicrobatchRange& range) const {
  const auto children = job_.tree().Children(range);
  std::vector<float> sum(parameters_[0].size());
  if (!children) {
    for (size_t i = 0; i < sum.size(); ++i) {
      sum[i] = GradientOf(step, range.begin, i);
    }
    return sum;
  }
  const std::vector<float> left = Gradient(step, children->first);
  const std::vector<float> right = Gradient(step, children->second);
  for (size_t i = 0; i < sum.size(); ++i) sum[i] = left[i] + right[i];
  return sum;
}

double Reference::LossSum(int64_t step, const MicrobatchRange& range) const {
  double sum = 0;
  for (int i = range.begin; i < range.end; ++i) {
    sum += static_cast<double>(Mix(static_cast<uint64_t>(step * 64 + i)) >> 52);
  }
  return sum;
}

void Reference::TakeStep(int64_t step) {
  const std::vector<float> sum = Gradient(step, job_.tree().root());
  std::vector<float> parameters = parameters_.back();
  std::vector<float> momenta = momenta_.back();
  for (size_t i = 0; i < sum.size(); ++i) {
    // v <- m v + g, x <- x - r v: the formulas of tessera.v1.Sgd.
    const float mean = sum[i] / static_cast<float>(job_.microbatches());
    const float decayed = kMomentum * momenta[i];
    momenta[i] = decayed + mean;
    const float change = kRate * momenta[i];
    parameters[i] = parameters[i] - change;
  }
  parameters_.push_back(std::move(parameters));
  momenta_.push_back(std::move(momenta));
}

ChunkScore Reference::Score(int64_t version, int chunk) const {
  // Falls at first, then stays: so that every stop rule has its chance.
  const int64_t falls_until = job_.max_steps() / 3;
  const double base =
      1.0 / (1.0 + 0.1 * static_cast<double>(std::min(version, falls_until)));
  const uint64_t noise = Mix(static_cast<uint64_t>(version * 131 + chunk));
  return {.loss_sum = base + static_cast<double>(noise % 1000) * 1e-5,
          .correct = static_cast<int64_t>(noise % 3)};
}

EvaluationResult Reference::ResultOf(int64_t version) const {
  EvaluationTally tally(job_.evaluation_chunks());
  for (int chunk = 0; chunk < job_.evaluation_chunks(); ++chunk) {
    tally.Add(chunk, Score(version, chunk));
  }
  return tally.Result(job_.proto().data_set().test_examples());
}

void Reference::FindTheEnd() {
  StopRules rules(job_.proto().stop(), job_.max_steps());
  for (int64_t v = 1; v <= job_.max_steps(); ++v) {
    if (v % job_.evaluation_interval() != 0 && v != job_.max_steps()) continue;
    evaluated_.push_back(v);
    last_version_ = v;
    end_reason_ = rules.AfterEvaluation(v, ResultOf(v));
    if (end_reason_ != v1::END_REASON_UNSPECIFIED) return;
  }
}

std::string Reference::DifferenceOf(const v1::GetStatusResponse& status) const {
  if (status.steps_done() != last_version_ ||
      status.end_reason() != end_reason_) {
    return absl::StrCat("ended at version ", status.steps_done(), " (",
                        v1::EndReason_Name(status.end_reason()), "), not at ",
                        last_version_, " (", v1::EndReason_Name(end_reason_),
                        ")");
  }
  if (status.evaluations_size() != static_cast<int>(evaluated_.size())) {
    return absl::StrCat(status.evaluations_size(), " evaluations, not ",
                        evaluated_.size());
  }
  for (size_t i = 0; i < evaluated_.size(); ++i) {
    const auto& record = status.evaluations(static_cast<int>(i));
    const EvaluationResult result = ResultOf(evaluated_[i]);
    if (record.version() != evaluated_[i] || record.loss() != result.loss ||
        record.accuracy() != result.accuracy) {
      return absl::StrCat("evaluation ", i, " is ", record.ShortDebugString());
    }
  }
  for (int i = 0; i < status.steps_size(); ++i) {
    const double loss = LossSum(i, job_.tree().root()) / job_.microbatches();
    if (status.steps(i).step() != i || status.steps(i).loss() != loss) {
      return absl::StrCat("step record ", i, " is ",
                          status.steps(i).ShortDebugString(), ", not of loss ",
                          loss);
    }
  }
  return status.steps_size() == last_version_
             ? ""
             : absl::StrCat(status.steps_size(), " step records of ",
                            last_version_);
}

Job MakeRecoveryJob(uint64_t seed) {
  Random random(seed + 99);
  const auto chunks = random.Between(1, 4);
  const Job plain = MakeTestJob(
      {.parameters = static_cast<int>(random.Between(33, 80)),
       .microbatches = static_cast<int>(random.Between(1, 6)),
       .steps = random.Between(8, 40),
       .test_examples = chunks * 10,
       .optimizer = "sgd { momentum: 0.5 }",
       .learning_rate = "base: 0.125",
       .evaluation = absl::StrCat("every_steps: ", random.Between(2, 9),
                                  " chunk_examples: 10")});
  v1::Job proto = plain.proto();
  if (random.Chance(0.5)) {
    v1::Plateau& plateau = *proto.mutable_stop()->mutable_plateau();
    plateau.set_evaluations(static_cast<int>(random.Between(1, 4)));
    plateau.set_min_improvement(0.002f);
  }
  v1::CheckpointPolicy& policy =
      *proto.mutable_operation()->mutable_checkpoint();
  policy.clear_every_seconds();
  if (random.Chance(0.7)) {
    policy.set_every_steps(random.Between(1, 7));
  } else {
    policy.set_every_seconds(random.LogBetween(0.05, 1));
  }
  policy.set_keep(static_cast<int32_t>(random.Between(1, 3)));
  return *Job::Create(proto);
}

}  // namespace tessera
