// The workers that take part right now: when each was last heard, how fast it
// is.

#ifndef TESSERA_SERVER_COORDINATOR_MEMBERSHIP_H_
#define TESSERA_SERVER_COORDINATOR_MEMBERSHIP_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/base/strong_id.h"
#include "server/coordinator/phase.h"
#include "server/coordinator/unit_ledger.h"

namespace tessera {

// What a worker was granted.
struct GrantedUnit {
  PhaseKey phase;
  UnitRange range;
};

struct Member {
  WorkerId id;
  std::string label;
  absl::Time last_heard;
  // Microbatches per second: an exponentially weighted moving average of what
  // the worker reports; 0 before the first report.
  double speed = 0;
  // In steps that are complete.
  int64_t microbatches_done = 0;
  // Its newest numbered request, and the answer to it; see WorkReport.
  uint64_t last_request = 0;
  std::optional<GrantedUnit> last_grant;

  // Takes in a measurement. One that is no number above 0 is left out.
  void Measure(double microbatch_seconds);
};

// Not thread-safe.
class Membership {
 public:
  // Ids count up from `first_id`.
  Membership(uint64_t first_id, absl::Duration lease)
      : lease_(lease), next_id_(first_id) {}

  // References and pointers hold until the member is removed.
  Member& Join(const std::string& label, absl::Time now);
  // Null for a worker that is no member.
  Member* Find(WorkerId worker);
  bool Remove(WorkerId worker) { return members_.erase(worker) > 0; }
  // Removes those that were silent for longer than the lease, and names them.
  std::vector<WorkerId> Expire(absl::Time now);

  // What was granted counts no more.
  void ForgetGrants();

  // In order of joining.
  const std::map<WorkerId, Member>& all() const { return members_; }
  bool empty() const { return members_.empty(); }

  // A member's speed; that of one not measured yet is the mean of the others'.
  // 0 while none is measured.
  double SpeedOf(WorkerId worker) const;
  // The sum of SpeedOf over all members.
  double TotalSpeed() const;
  // A member's part of TotalSpeed, in (0, 1]; even while none is measured.
  double ShareOf(WorkerId worker) const;

 private:
  double MeanMeasuredSpeed() const;

  const absl::Duration lease_;
  uint64_t next_id_;
  std::map<WorkerId, Member> members_;
};

}  // namespace tessera

#endif  // TESSERA_SERVER_COORDINATOR_MEMBERSHIP_H_
