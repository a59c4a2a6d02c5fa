// Which servers are there, and where they start from.
//
//               all shards heard of            all are at generation g
//   gathering ----------------------> restoring ---------------------> running
//                g above all that     ^       |                           |
//                ever were            |       | a shard's process is      |
//                                     +-------+ another, or could not   <-+
//                                     g + 1     load the restore point
//
// A generation starts from one restore point on all shards: the newest there
// is, else the job's initial parameters. One that a shard found damaged is
// dropped for good. A failure that is not the set's own (say, a disk that is
// not there) is tried again after a pause, in a generation of its own.
//
// A process is known by its incarnation. One that another has taken the place
// of is refused for ever: two processes of one shard never take turns.

#ifndef TESSERA_SERVER_COORDINATOR_SHARD_ROLL_H_
#define TESSERA_SERVER_COORDINATOR_SHARD_ROLL_H_

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/coordinator/options.h"
#include "tessera/v1/coordinator.pb.h"
#include "tessera/v1/shard.pb.h"

namespace tessera {

// Something that has not come yet.
struct Awaited {
  std::string what;  // "shard 2 to come back"
  absl::Time since;
};

// Not thread-safe. Times must not go back.
class ShardRoll {
 public:
  enum class State { kGathering, kRestoring, kRunning };

  // Before a restore that failed is tried again.
  static constexpr absl::Duration kRetryPause = absl::Seconds(1);

  // `points` are the sets that can be restored, newest first. Generations are
  // above `generation_floor`.
  ShardRoll(int shard_count, std::vector<RestorePoint> points,
            int64_t generation_floor = 0);

  // Shards are awaited from now on. The first call counts.
  void Begin(absl::Time now);

  // Takes what shard `request.shard()` says; it must be one of this job's.
  // `follows` says whether it has seen the orders of this generation: what it
  // said without that was for another coordinator. Codes: FAILED_PRECONDITION
  // for an incarnation that was replaced, INVALID_ARGUMENT for 0.
  absl::Status Hear(const v1::AttendRequest& request, bool follows,
                    absl::Time now);
  // Tries again what is due.
  void Tick(absl::Time now);

  State state() const { return state_; }
  bool running() const { return state_ == State::kRunning; }
  // The one under way; 0 while gathering.
  int64_t generation() const { return generation_; }
  // Where it starts.
  const RestorePoint& start() const { return start_; }

  // A set that can be restored from now on, keeping at most `keep` of them.
  void AddPoint(RestorePoint point, int keep);
  // The newest; null when there is none.
  const RestorePoint* newest() const;
  // The one of that set, or null.
  const RestorePoint* Find(uint64_t set_id) const;

  // Shards that are silent, or not there, or not at this generation.
  std::vector<Awaited> Waits(absl::Time now, absl::Duration silence) const;
  // Fills in `shards`.
  void WriteTo(absl::Time now, v1::GetStatusResponse& status) const;

 private:
  struct Shard {
    uint64_t incarnation = 0;  // 0: never heard of.
    std::string address;       // For people.
    int incarnations = 0;
    int64_t generation = 0;  // The highest it said that it serves.
    bool is_at_generation = false;
    absl::Time last_heard;
  };

  void Replace(Shard& shard, uint64_t incarnation);
  void TakeFailure(const v1::RestoreFailure& failure, absl::Time now);
  void StartGeneration(absl::Time now);
  std::string Name(const Shard& shard) const;

  const int64_t generation_floor_;
  State state_ = State::kGathering;
  std::vector<Shard> shards_;
  std::set<uint64_t> replaced_;  // Incarnations.
  std::vector<RestorePoint> points_;
  int64_t generation_ = 0;
  RestorePoint start_;
  absl::Time since_ = absl::InfinitePast();  // Of this state.
  absl::Time retry_at_ = absl::InfiniteFuture();
  std::string last_failure_;
};

}  // namespace tessera

#endif  // TESSERA_SERVER_COORDINATOR_SHARD_ROLL_H_
