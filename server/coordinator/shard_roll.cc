#include "server/coordinator/shard_roll.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"

namespace tessera {
namespace {

// Whether it says that the set itself is of no use.
bool BlamesTheSet(const v1::RestoreFailure& failure) {
  switch (static_cast<absl::StatusCode>(failure.code())) {
    case absl::StatusCode::kDataLoss:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kFailedPrecondition:
      return failure.set_id() != 0;
    default:
      return false;
  }
}

// How far above a predecessor's generations to go on: a number of this
// coordinator's own, as its floor is. 1 for the floor 0.
int64_t JumpOf(int64_t floor) {
  // Multiplicative hashing (Knuth, TAOCP 6.4): the upper bits are the good
  // ones.
  const uint64_t mixed = static_cast<uint64_t>(floor) * 0x9e3779b97f4a7c15u;
  return 1 + static_cast<int64_t>(mixed >> 32);
}

}  // namespace

ShardRoll::ShardRoll(int shard_count, std::vector<RestorePoint> points,
                     int64_t generation_floor)
    : generation_floor_(generation_floor),
      shards_(static_cast<size_t>(shard_count)),
      points_(std::move(points)) {}

void ShardRoll::Begin(absl::Time now) {
  if (since_ == absl::InfinitePast()) since_ = now;
}

absl::Status ShardRoll::Hear(const v1::AttendRequest& request, bool follows,
                             absl::Time now) {
  if (request.incarnation() == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("shard ", request.shard(),
                     " attends as incarnation 0: expected one that it drew"));
  }
  if (replaced_.contains(request.incarnation())) {
    return absl::FailedPreconditionError(absl::StrCat(
        "shard ", request.shard(), ": another process has taken the place of ",
        "incarnation ", absl::Hex(request.incarnation()), ", which must end"));
  }
  Shard& shard = shards_.at(static_cast<size_t>(request.shard()));
  const bool is_another =
      shard.incarnation != 0 && shard.incarnation != request.incarnation();
  if (shard.incarnation != request.incarnation()) {
    Replace(shard, request.incarnation());
  }
  shard.last_heard = now;
  shard.address = request.address();
  // A late message says less than one before it.
  shard.generation = std::max(shard.generation, request.generation());

  if (state_ == State::kGathering) {
    const bool all_there =
        std::all_of(shards_.begin(), shards_.end(),
                    [](const Shard& s) { return s.incarnation != 0; });
    if (all_there) StartGeneration(now);
    return absl::OkStatus();
  }
  // One that is so far without this coordinator's orders was so by another's,
  // and from another restore point maybe.
  const bool is_foreign = !follows && !shard.is_at_generation &&
                          request.generation() >= generation_;
  if (is_another || is_foreign) {
    StartGeneration(now);
    return absl::OkStatus();
  }
  if (follows && request.generation() == generation_) {
    shard.is_at_generation = true;
    if (state_ == State::kRestoring &&
        std::all_of(shards_.begin(), shards_.end(),
                    [](const Shard& s) { return s.is_at_generation; })) {
      state_ = State::kRunning;
      since_ = now;
      retry_at_ = absl::InfiniteFuture();
      last_failure_.clear();
    }
    return absl::OkStatus();
  }
  if (request.has_restore_failure()) {
    TakeFailure(request.restore_failure(), now);
  }
  return absl::OkStatus();
}

void ShardRoll::Replace(Shard& shard, uint64_t incarnation) {
  if (shard.incarnation != 0) replaced_.insert(shard.incarnation);
  shard = {.incarnation = incarnation, .incarnations = shard.incarnations + 1};
}

void ShardRoll::TakeFailure(const v1::RestoreFailure& failure, absl::Time now) {
  // Of a generation that is over, or said before.
  if (failure.generation() != generation_ ||
      failure.set_id() != start_.set_id || state_ != State::kRestoring) {
    return;
  }
  last_failure_ = failure.message();
  if (BlamesTheSet(failure)) {
    std::erase_if(points_, [&failure](const RestorePoint& point) {
      return point.set_id == failure.set_id();
    });
    StartGeneration(now);
  } else {
    retry_at_ = std::min(retry_at_, now + kRetryPause);
  }
}

void ShardRoll::Tick(absl::Time now) {
  if (now >= retry_at_) StartGeneration(now);
}

void ShardRoll::StartGeneration(absl::Time now) {
  // Above all that were ever served, by whichever coordinator's orders: by
  // shards that are gone as well, as workers may have outlived them.
  generation_ = std::max(generation_, generation_floor_);
  int64_t served = 0;
  for (const Shard& shard : shards_) {
    served = std::max(served, shard.generation);
  }
  // A predecessor's clock, and so its floor, was ahead. It may have gone
  // further than anyone here knows, and its numbers must not be used again.
  generation_ = served > generation_ ? served + JumpOf(generation_floor_)
                                     : generation_ + 1;
  for (Shard& shard : shards_) shard.is_at_generation = false;
  start_ = newest() != nullptr ? *newest() : RestorePoint();
  state_ = State::kRestoring;
  since_ = now;
  retry_at_ = absl::InfiniteFuture();
}

void ShardRoll::AddPoint(RestorePoint point, int keep) {
  TESSERA_CHECK(point.set_id != 0 && keep >= 1);
  points_.insert(points_.begin(), std::move(point));
  if (points_.size() > static_cast<size_t>(keep)) {
    points_.resize(static_cast<size_t>(keep));
  }
}

const RestorePoint* ShardRoll::newest() const {
  return points_.empty() ? nullptr : &points_.front();
}

const RestorePoint* ShardRoll::Find(uint64_t set_id) const {
  const auto found = std::find_if(
      points_.begin(), points_.end(),
      [set_id](const RestorePoint& point) { return point.set_id == set_id; });
  return found == points_.end() ? nullptr : &*found;
}

std::string ShardRoll::Name(const Shard& shard) const {
  return absl::StrCat("shard ", &shard - shards_.data());
}

std::vector<Awaited> ShardRoll::Waits(absl::Time now,
                                      absl::Duration silence) const {
  std::vector<Awaited> waits;
  for (const Shard& shard : shards_) {
    if (shard.incarnation == 0) {
      waits.push_back({Name(shard) + " to come", since_});
    } else if (now - shard.last_heard >= silence) {
      waits.push_back({Name(shard) + " to come back", shard.last_heard});
    } else if (state_ == State::kRestoring && !shard.is_at_generation) {
      std::string what =
          absl::StrCat(Name(shard), " to load version ", start_.version);
      if (!last_failure_.empty()) {
        absl::StrAppend(&what, " (the last try: ", last_failure_, ")");
      }
      waits.push_back({std::move(what), since_});
    }
  }
  return waits;
}

void ShardRoll::WriteTo(absl::Time now, v1::GetStatusResponse& status) const {
  for (size_t i = 0; i < shards_.size(); ++i) {
    const Shard& shard = shards_[i];
    v1::ShardStatus& row = *status.add_shards();
    row.set_shard(static_cast<int>(i));
    row.set_incarnation(shard.incarnation);
    row.set_incarnations(shard.incarnations);
    row.set_generation(shard.generation);
    row.set_address(shard.address);
    if (shard.incarnation == 0) continue;
    row.set_silent_ms(absl::ToInt64Milliseconds(now - shard.last_heard));
  }
}

}  // namespace tessera
