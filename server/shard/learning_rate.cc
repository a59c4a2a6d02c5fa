#include "server/shard/learning_rate.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace tessera {
namespace {

double Decayed(const v1::LearningRate& schedule, int64_t step) {
  const double base = schedule.base();
  switch (schedule.decay_case()) {
    case v1::LearningRate::kStep: {
      const int64_t times = step / schedule.step().every_steps();
      return base * std::pow(double{schedule.step().factor()},
                             static_cast<double>(times));
    }
    case v1::LearningRate::kCosine: {
      const int64_t steps = schedule.cosine().steps();
      const double done = static_cast<double>(std::min(step, steps)) /
                          static_cast<double>(steps);
      const double final = schedule.cosine().final();
      return final +
             (base - final) * (1 + std::cos(std::numbers::pi * done)) / 2;
    }
    case v1::LearningRate::kConstant:
    case v1::LearningRate::DECAY_NOT_SET:
      break;
  }
  return base;
}

}  // namespace

double LearningRateAt(const v1::LearningRate& schedule, int64_t step) {
  const double rate = Decayed(schedule, step);
  if (step >= schedule.warmup_steps()) return rate;
  return rate * (static_cast<double>(step + 1) /
                 static_cast<double>(schedule.warmup_steps()));
}

}  // namespace tessera
