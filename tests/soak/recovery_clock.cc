#include "tests/soak/recovery_clock.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace tessera {

void RecoveryClock::OnDeath(absl::Time now) {
  deaths_.push_back(now);
  generation_at_death_ = generation_;
}

void RecoveryClock::OnStatus(const v1::GetStatusResponse& status,
                             absl::Time now) {
  if (status.generation() > generation_) {
    generation_ = status.generation();
    first_steps_done_ = -1;
  }
  if (status.phase() == v1::PHASE_RECOVERING ||
      status.generation() != generation_) {
    return;
  }
  steps_done_ = status.steps_done();
  if (first_steps_done_ < 0) first_steps_done_ = steps_done_;
  const bool has_stepped =
      steps_done_ > first_steps_done_ || status.phase() == v1::PHASE_ENDED;
  if (generation_ <= generation_at_death_ || !has_stepped) return;
  for (const absl::Time death : deaths_) recoveries_.push_back(now - death);
  deaths_.clear();
}

std::string DescribeTimes(std::vector<absl::Duration> times) {
  if (times.empty()) return "none";
  std::sort(times.begin(), times.end());
  // Of an even number, the mean of the two in the middle.
  const absl::Duration median =
      (times[(times.size() - 1) / 2] + times[times.size() / 2]) / 2;
  return absl::StrCat("median ", absl::ToInt64Milliseconds(median),
                      " ms, worst ", absl::ToInt64Milliseconds(times.back()),
                      " ms of ", times.size());
}

}  // namespace tessera
