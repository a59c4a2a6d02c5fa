// When a checkpoint is made, and how far it has come: one attempt at a time.
//
//           time for one            all shards ready
//    idle --------------> ordered -------------------> writing
//     ^                      |                             | all files are in,
//     |                      |                             | the version
//     reached |   given up, failed   v                             v
//     +<-----------------------------------------------  manifest
//     |                     done: it lasts                 |
//     +<---------------------------------------------------+
//
// An attempt is for a version that no block can have reached yet. Until all
// shards have said that they will hold on to it, the step that leads there must
// not be granted (HoldsBack); after that, each has it whenever it gets there.
// Only a job that has ended is captured as it lies.
//
// An attempt that comes to nothing is left, and the next one has a set id of
// its own; training goes on meanwhile.

#ifndef TESSERA_SERVER_COORDINATOR_CHECKPOINT_PLAN_H_
#define TESSERA_SERVER_COORDINATOR_CHECKPOINT_PLAN_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/coordinator/shard_roll.h"
#include "server/coordinator/stop_rules.h"
#include "tessera/v1/checkpoint.pb.h"
#include "tessera/v1/coordinator.pb.h"
#include "tessera/v1/job.pb.h"
#include "tessera/v1/shard.pb.h"

namespace tessera {

// Of one attempt to make a checkpoint, once it has come to its end.
struct CheckpointOutcome {
  absl::Status status;  // ABORTED, with the reason, if there is none.
  int64_t version = 0;
  uint64_t set_id = 0;
  int64_t bytes = 0;  // 0 for a set that was there before this coordinator.
};

// Not thread-safe. Times must not go back.
class CheckpointPlan {
 public:
  // How many steps ahead a version is ordered whose time has come: enough for
  // shards to get ready while earlier steps are worked on, and few enough that
  // it may serve who asks for a checkpoint now.
  static constexpr int64_t kLead = 4;
  // Outcomes that are remembered.
  static constexpr size_t kOutcomes = 64;

  // Where the job stands.
  struct Stand {
    int64_t version = 0;          // Complete on all shards.
    int64_t newest_possible = 0;  // No block is beyond it.
    int64_t last_version = 0;     // Where the job ends, at the latest.
    bool ended = false;
    bool servers_there = true;     // All of them, able to take part.
    int64_t restore_version = -1;  // Of the newest complete set.
    StopMemory memory;             // As `version` was reached.
  };

  // `draw_set_id` as in CoordinatorOptions.
  CheckpointPlan(const v1::CheckpointPolicy& policy, int shard_count,
                 std::function<uint64_t()> draw_set_id);

  // The job runs from here on, for the first time or again.
  void Begin(absl::Time now);
  // Orders an attempt when it is time for one, or puts off one for a version
  // that the job will not have. Call it whenever something may have changed.
  void Consider(const Stand& stand, absl::Time now);

  // Asks for an attempt; the next call of Consider orders it. Returns its set.
  uint64_t Request(const Stand& stand);

  // Whether no unit of that training step may be granted yet.
  bool HoldsBack(int64_t step) const;
  // The version is complete on all shards.
  void OnVersion(int64_t version, const StopMemory& memory, absl::Time now);
  // What a shard says of its capture.
  void Hear(const v1::AttendRequest& request, absl::Time now);
  // Gives up the attempt at hand, if any.
  void GiveUp(const std::string& why, absl::Time now);
  // Gives it up when a shard takes longer than `patience` to get ready, or to
  // write its file.
  void GiveUpIfLate(absl::Duration patience, absl::Time now);

  // Once all files are in, and once only: version, set, files and, of the
  // coordinator's state, the stop rules.
  struct Files {
    int64_t version = 0;
    uint64_t set_id = 0;
    std::vector<v1::CheckpointFile> files;
    StopMemory memory;
  };
  std::optional<Files> TakeFiles();
  // How the writing of the manifest went. Whether the set is complete and is
  // the attempt at hand.
  bool OnManifestWritten(uint64_t set_id, const absl::Status& status,
                         int64_t bytes, absl::Time now);

  // What shards are to hold on to: set id 0 for nothing.
  v1::Capture capture() const;
  std::optional<CheckpointOutcome> OutcomeOf(uint64_t set_id) const;

  // Shards that are not ready, or have not written their files.
  std::vector<Awaited> Waits() const;
  // Fills in what concerns attempts.
  void WriteTo(v1::CheckpointStatus& status) const;

 private:
  struct Part {
    bool ready = false;
    std::optional<v1::CheckpointFile> file;
  };
  struct Attempt {
    int64_t version = 0;
    uint64_t set_id = 0;
    bool asked_for = false;             // By Request.
    absl::Time since;                   // When it was ordered.
    std::optional<StopMemory> memory;   // Once the version is reached.
    std::optional<absl::Time> writing;  // Since then, with all ready.
    std::vector<Part> parts;            // One for each shard.
    bool taken = false;                 // Its files.

    bool all_ready() const;
    bool all_written() const;
  };

  void PutOffUnreachable(const Stand& stand);
  void ConsiderLast(const Stand& stand, absl::Time now);
  void ConsiderNext(const Stand& stand, absl::Time now);
  std::optional<int64_t> DueVersion(const Stand& stand, absl::Time now) const;
  Attempt& Order(int64_t version, absl::Time now);
  void TakeResult(int shard, const v1::CaptureResult& result, absl::Time now);
  // Notes what has come about.
  void Advance(absl::Time now);
  std::string PartName(size_t shard) const;
  void Close(const absl::Status& status, int64_t bytes, absl::Time now);
  void Remember(CheckpointOutcome outcome);

  const v1::CheckpointPolicy policy_;
  const size_t shard_count_;
  const std::function<uint64_t()> draw_set_id_;

  std::optional<Attempt> attempt_;
  // Of an attempt that was asked for and is not ordered yet; 0 for none.
  uint64_t next_set_id_ = 0;
  bool last_was_tried_ = false;  // The one of the version that the job ends at.
  absl::Time last_end_ = absl::InfinitePast();

  std::deque<CheckpointOutcome> outcomes_;  // The newest last.
  // An attempt's set, and the one that holds its checkpoint instead.
  std::deque<std::pair<uint64_t, uint64_t>> put_off_;
  int64_t written_ = 0;
  int64_t failed_ = 0;
  std::string last_failure_;
  int64_t last_bytes_ = 0;
  absl::Duration last_duration_;
};

}  // namespace tessera

#endif  // TESSERA_SERVER_COORDINATOR_CHECKPOINT_PLAN_H_
