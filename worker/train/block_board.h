// Which versions of which blocks a worker holds, and who waits for them.
//
// The worker keeps two flat vectors: version v lives in number v % 2. Answers
// to step t's pushes (version t + 1) may therefore come in while step t is
// still being computed, and a worker that is called back to step t still has
// it.

#ifndef TESSERA_WORKER_TRAIN_BLOCK_BOARD_H_
#define TESSERA_WORKER_TRAIN_BLOCK_BOARD_H_

#include <array>
#include <cstdint>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/base/mutex.h"
#include "common/device/device.h"
#include "common/plan/shard_plan.h"

namespace tessera {

// Thread-safe, but for the vectors' contents: whoever calls Begin for a block
// and version writes it before Arrived, and readers read after WaitFor.
class BlockBoard {
 public:
  // Where `device`, which may be null and must outlive the board, has pinned
  // memory to give, the vectors lie there: a GPU fetches from it by itself.
  explicit BlockBoard(const ShardPlan& plan, Device* device = nullptr);

  // The flat vector that version `version` lives in.
  absl::Span<float> Values(int64_t version);
  absl::Span<float> BlockValues(int block, int64_t version);

  // A pass that reads `version` starts: forgets failures that concern earlier
  // passes only (ABORTED, OUT_OF_RANGE).
  void StartPass(int64_t version);

  // Whether the caller is to fetch this block: false when it is held, or being
  // fetched, at `version` already. After true, the caller must see to it that
  // Arrived or Failed follows. A fetch of another version into the same vector
  // is waited for. Codes: those of Failed and Interrupt.
  absl::StatusOr<bool> Begin(int block, int64_t version);
  void Arrived(int block, int64_t version);

  // The fetch came to nothing. Unless the version is one that the pass is
  // beyond and that its server no longer holds (OUT_OF_RANGE), waits give `why`
  // from now on.
  void Failed(int block, int64_t version, const absl::Status& why);

  // Waits end with `why`, and later ones do at once.
  void Interrupt(const absl::Status& why);

  // Waits end with `why`, and all later ones do, whatever is called then.
  void Stop(const absl::Status& why);

  // Waits until all blocks that hold elements of `elements` are here at
  // `version`. Codes: those of Failed and Interrupt.
  absl::Status WaitFor(const Interval& elements, int64_t version);

  // The newest version of which every block is here, or -1.
  int64_t CompleteVersion() const;

  // No fetch is under way any more, since the caller has cancelled and awaited
  // them, and no failure matters any more. What is held stays.
  void Reset();

  // Reset, and nothing is held any more: the servers have gone back, so that a
  // version which was seen is no proof that they all have it.
  void Forget();

 private:
  static constexpr int64_t kNone = -1;

  struct Slot {
    std::vector<int64_t> held;      // A block's version, or kNone.
    std::vector<int64_t> fetching;  // Likewise.
  };

  // Why waits end; OK while they do not.
  const absl::Status& failure() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return stopped_.ok() ? failure_ : stopped_;
  }
  bool Holds(int first_block, int last_block, int64_t version) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const ShardPlan plan_;
  // Each vector's memory is one of the two.
  std::array<Memory, 2> pinned_;
  std::array<std::vector<float>, 2> ordinary_;
  std::array<absl::Span<float>, 2> values_;

  mutable Mutex mutex_;
  std::array<Slot, 2> slots_ ABSL_GUARDED_BY(mutex_);
  int64_t pass_version_ ABSL_GUARDED_BY(mutex_) = kNone;
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  absl::Status stopped_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tessera

#endif  // TESSERA_WORKER_TRAIN_BLOCK_BOARD_H_
