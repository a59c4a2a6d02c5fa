#include "server/shard/update_rule.h"

#include <cmath>
#include <limits>

#include "server/shard/learning_rate.h"

namespace tessera {
namespace {

// 1 - beta^t, with beta the float32 that the rule multiplies by.
double BiasOf(float beta, int64_t step) {
  return 1.0 - std::pow(double{beta}, static_cast<double>(step + 1));
}

}  // namespace

StepRule MakeStepRule(const Job& job, int64_t step, bool is_decoupled) {
  const v1::Optimizer& optimizer = job.proto().optimizer();
  const double rate = LearningRateAt(job.proto().learning_rate(), step);
  StepRule rule;
  rule.microbatches = static_cast<float>(job.microbatches());
  rule.clip = optimizer.clip_element() > 0
                  ? optimizer.clip_element()
                  : std::numeric_limits<float>::infinity();
  rule.rate = static_cast<float>(rate);
  if (is_decoupled) {
    rule.decay = static_cast<float>(rate * double{optimizer.weight_decay()});
  } else {
    rule.coupled_decay = optimizer.weight_decay();
  }
  return rule;
}

SgdRule MakeSgdRule(const Job& job, int64_t step) {
  return {MakeStepRule(job, step,
                       job.proto().optimizer().decoupled_weight_decay())};
}

MomentumRule MakeMomentumRule(const Job& job, int64_t step) {
  const v1::Sgd& sgd = job.proto().optimizer().sgd();
  MomentumRule rule;
  rule.step =
      MakeStepRule(job, step, job.proto().optimizer().decoupled_weight_decay());
  rule.momentum = sgd.momentum();
  if (sgd.nesterov()) {
    rule.direct = 1;
    rule.carried = sgd.momentum();
  }
  return rule;
}

AdamWRule MakeAdamWRule(const Job& job, int64_t step) {
  const v1::AdamW& adamw = job.proto().optimizer().adamw();
  const double rate = LearningRateAt(job.proto().learning_rate(), step);
  AdamWRule rule;
  rule.step = MakeStepRule(job, step, /*is_decoupled=*/true);
  rule.beta1 = adamw.beta1();
  rule.beta2 = adamw.beta2();
  rule.one_minus_beta1 = static_cast<float>(1.0 - double{adamw.beta1()});
  rule.one_minus_beta2 = static_cast<float>(1.0 - double{adamw.beta2()});
  rule.epsilon = adamw.epsilon();
  rule.corrected_rate = static_cast<float>(rate / BiasOf(adamw.beta1(), step));
  rule.second_correction =
      static_cast<float>(1.0 / BiasOf(adamw.beta2(), step));
  return rule;
}

}  // namespace tessera
