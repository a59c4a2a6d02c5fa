// Whether a server that does not answer is worth another attempt, and when.

#ifndef TESSERA_WORKER_CLIENT_REACHABILITY_H_
#define TESSERA_WORKER_CLIENT_REACHABILITY_H_

#include <algorithm>
#include <optional>

#include "absl/time/time.h"

namespace tessera {

// Keeps since when a server has been out of reach. Pauses between attempts
// double from kPauseMin to kPauseMax. Pure: times are passed in. Not
// thread-safe.
class Reachability {
 public:
  static constexpr absl::Duration kPauseMin = absl::Milliseconds(20);
  static constexpr absl::Duration kPauseMax = absl::Milliseconds(500);
  // An outage is worth words when it has lasted for so long, and each time
  // that so much more has gone by.
  static constexpr absl::Duration kFirstReport = absl::Seconds(2);
  static constexpr absl::Duration kReportInterval = absl::Minutes(1);

  explicit Reachability(absl::Duration unreachable_after)
      : unreachable_after_(unreachable_after) {}

  // The server was heard of, or nobody waits for it any more.
  void Reset() {
    since_.reset();
    pause_ = kPauseMin;
    next_report_ = kFirstReport;
  }

  // An attempt that began at `began` failed at `now`. When to make the next
  // one, or nothing when the server has been out of reach for too long.
  std::optional<absl::Time> OnFailure(absl::Time began, absl::Time now) {
    if (!since_) since_ = began;
    out_for_ = now - *since_;
    const absl::Time end = *since_ + unreachable_after_;
    if (now >= end) {
      Reset();
      return std::nullopt;
    }
    const absl::Time next = std::min(now + pause_, end);
    pause_ = std::min(2 * pause_, kPauseMax);
    return next;
  }

  // After a failure: how long the server has been out of reach, if that is to
  // be told now.
  std::optional<absl::Duration> TakeReport() {
    if (!since_ || out_for_ < next_report_) return std::nullopt;
    next_report_ = out_for_ + kReportInterval;
    return out_for_;
  }

 private:
  const absl::Duration unreachable_after_;
  std::optional<absl::Time> since_;
  absl::Duration out_for_;
  absl::Duration next_report_ = kFirstReport;
  absl::Duration pause_ = kPauseMin;
};

}  // namespace tessera

#endif  // TESSERA_WORKER_CLIENT_REACHABILITY_H_
