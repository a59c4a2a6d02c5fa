// Turns what is seen of a job into what its user is shown.

#ifndef TESSERA_DEPLOY_LAUNCH_PROGRESS_METER_H_
#define TESSERA_DEPLOY_LAUNCH_PROGRESS_METER_H_

#include <cstdint>
#include <deque>

#include "absl/time/time.h"
#include "common/job/job.h"
#include "deploy/report/progress.h"
#include "deploy/report/run_history.h"
#include "tessera/v1/coordinator.pb.h"

namespace tessera {

// Rates are means over the last seconds. Time is passed in. Not thread-safe.
class ProgressMeter {
 public:
  // `job` must outlive the meter.
  explicit ProgressMeter(const Job& job) : job_(job) {}

  // The job's status and payload bytes pushed so far, at `now`, which never
  // goes back; `history` has taken `status` in.
  Progress Update(const v1::GetStatusResponse& status, int64_t pushed_bytes,
                  const RunHistory& history, absl::Time now);

 private:
  // Steps and bytes at a moment.
  struct Sample {
    absl::Time time;
    int64_t steps = 0;
    int64_t pushed_bytes = 0;
  };

  void AddRates(Progress& progress) const;

  const Job& job_;
  std::deque<Sample> samples_;
};

}  // namespace tessera

#endif  // TESSERA_DEPLOY_LAUNCH_PROGRESS_METER_H_
