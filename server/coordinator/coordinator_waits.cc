// What a coordinator does about waits: the job's wait policy.
//
// A job ends when a server has been away, or has not loaded its shard, for too
// long; or when, with all of them there, for too long no step was completed and
// no evaluation chunk came in, be it for want of workers. Its last checkpoint
// is then of the current version, but only where no unit of the step that
// starts from it was ever granted: else some blocks may be further than others,
// and the newest complete set remains. Who comes back later finds the job
// ended.

#include <algorithm>
#include <utility>
#include <vector>

#include "server/coordinator/coordinator.h"

namespace tessera {

absl::Duration Coordinator::ReportAfter() const {
  return absl::Seconds(job_.wait_policy().report_after_seconds());
}

absl::Duration Coordinator::MaxAttendWait() const {
  absl::Duration wait = ReportAfter() / 2;
  const double stop_after = job_.wait_policy().stop_after_seconds();
  if (stop_after > 0) wait = std::min(wait, absl::Seconds(stop_after) / 2);
  return wait;
}

std::vector<Awaited> Coordinator::ServerWaits(absl::Time now) const {
  if (!options_.servers_attend) return {};
  std::vector<Awaited> waits = roll_.Waits(now, ReportAfter());
  for (Awaited& wait : plan_.Waits()) waits.push_back(std::move(wait));
  return waits;
}

void Coordinator::EndIfWaitedTooLong() {
  const double seconds = job_.wait_policy().stop_after_seconds();
  if (seconds <= 0) return;
  const absl::Duration limit = absl::Seconds(seconds);
  if (!ended()) {
    absl::Time since = running() ? last_advance_ : absl::InfiniteFuture();
    if (options_.servers_attend) {
      for (const Awaited& wait : roll_.Waits(now_, ReportAfter())) {
        since = std::min(since, wait.since);
      }
    }
    if (now_ - since > limit) {
      progress_.EndNow(v1::END_REASON_WAITED_TOO_LONG);
    }
  }
  // Writing holds nothing up, so it costs no more than the checkpoint.
  plan_.GiveUpIfLate(limit, now_);
}

}  // namespace tessera
