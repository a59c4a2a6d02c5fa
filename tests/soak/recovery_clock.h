// How long a job stands still when servers die: from each death to the next
// step that is completed after it.

#ifndef TESSERA_TESTS_SOAK_RECOVERY_CLOCK_H_
#define TESSERA_TESTS_SOAK_RECOVERY_CLOCK_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "tessera/v1/coordinator.pb.h"

namespace tessera {

// Knows what it is told only, so its times are as exact as the caller looks
// often. Not thread-safe.
class RecoveryClock {
 public:
  // A server was killed. What the coordinator says until it has noticed is of
  // the time before.
  void OnDeath(absl::Time now);
  void OnStatus(const v1::GetStatusResponse& status, absl::Time now);

  // Whether no step has been completed since some server's death.
  bool is_recovering() const { return !deaths_.empty(); }
  // The highest that was seen.
  int64_t generation() const { return generation_; }
  // In the generation seen last.
  int64_t steps_done() const { return steps_done_; }
  const std::vector<absl::Duration>& recoveries() const { return recoveries_; }

 private:
  int64_t generation_ = 0;
  int64_t generation_at_death_ = 0;
  // Where the generation was when it was first seen at work.
  int64_t first_steps_done_ = -1;
  int64_t steps_done_ = 0;
  std::vector<absl::Time> deaths_;  // Not yet made good.
  std::vector<absl::Duration> recoveries_;
};

// "median 812 ms, worst 1904 ms of 10"; "none" for no times.
std::string DescribeTimes(std::vector<absl::Duration> times);

}  // namespace tessera

#endif  // TESSERA_TESTS_SOAK_RECOVERY_CLOCK_H_
