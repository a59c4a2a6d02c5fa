#include "server/coordinator/membership.h"

#include <algorithm>
#include <cmath>

#include "common/base/check.h"

namespace tessera {
namespace {

// Weight of a new measurement: a change of pace shows within a few requests,
// one slow microbatch does not turn the plan over.
constexpr double kNewWeight = 0.3;
// Bounds that keep sums and quotients of speeds finite.
constexpr double kMinMicrobatchSeconds = 1e-9;
constexpr double kMaxMicrobatchSeconds = 1e9;

}  // namespace

void Member::Measure(double microbatch_seconds) {
  if (!std::isfinite(microbatch_seconds) || microbatch_seconds <= 0) return;
  const double measured =
      1 / std::clamp(microbatch_seconds, kMinMicrobatchSeconds,
                     kMaxMicrobatchSeconds);
  speed = speed == 0 ? measured : speed + kNewWeight * (measured - speed);
}

Member& Membership::Join(const std::string& label, absl::Time now) {
  const WorkerId id(next_id_++);
  return members_
      .emplace(id, Member{.id = id, .label = label, .last_heard = now})
      .first->second;
}

Member* Membership::Find(WorkerId worker) {
  const auto found = members_.find(worker);
  return found == members_.end() ? nullptr : &found->second;
}

std::vector<WorkerId> Membership::Expire(absl::Time now) {
  std::vector<WorkerId> expired;
  for (const auto& [id, member] : members_) {
    if (now - member.last_heard > lease_) expired.push_back(id);
  }
  for (WorkerId id : expired) Remove(id);
  return expired;
}

void Membership::ForgetGrants() {
  for (auto& [id, member] : members_) member.last_grant.reset();
}

double Membership::MeanMeasuredSpeed() const {
  double sum = 0;
  int measured = 0;
  for (const auto& [id, member] : members_) {
    if (member.speed == 0) continue;
    sum += member.speed;
    ++measured;
  }
  return measured == 0 ? 0 : sum / measured;
}

double Membership::SpeedOf(WorkerId worker) const {
  const double own = members_.at(worker).speed;
  return own > 0 ? own : MeanMeasuredSpeed();
}

double Membership::TotalSpeed() const {
  // Those not measured do not change the mean.
  return MeanMeasuredSpeed() * static_cast<double>(members_.size());
}

double Membership::ShareOf(WorkerId worker) const {
  TESSERA_CHECK(!members_.empty());
  const double total = TotalSpeed();
  return total > 0 ? SpeedOf(worker) / total
                   : 1.0 / static_cast<double>(members_.size());
}

}  // namespace tessera
