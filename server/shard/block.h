// One block under its lock: its state, the step's gradient so far, and the
// pulls that wait for the next version.

#ifndef TESSERA_SERVER_SHARD_BLOCK_H_
#define TESSERA_SERVER_SHARD_BLOCK_H_

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/mutex.h"
#include "common/base/sha256.h"
#include "common/device/device.h"
#include "common/plan/shard_plan.h"
#include "common/tensor/fragments.h"
#include "common/wire/encoding.h"
#include "server/shard/block_aggregator.h"
#include "server/shard/block_state.h"
#include "server/shard/counted_ranges.h"
#include "server/shard/shard_store.h"

namespace tessera {

// A pull's callback with what it is to be called with. Called by whoever gets
// it, outside the lock.
struct PullAnswer {
  PullCallback done;
  absl::StatusOr<BlockVersion> result;
};

// A block at the version that a capture wants.
struct CapturedBlock {
  uint64_t capture = 0;  // CaptureCollector's id.
  BlockSnapshot block;
};

// Thread-safe. Calls nobody back: it returns the answers that are due.
class Block {
 public:
  struct PushDone {
    PushResult result;
    int64_t generation = 0;  // In which it was counted.
    double loss_sum = 0;     // Of the whole step, with kCompleted.
    // With kCompleted, when the version is one to capture.
    std::optional<CapturedBlock> captured;
    std::vector<PullAnswer> answers;
  };

  // `index` is among all blocks of the job, `elements` in its flat vector.
  // Payloads come in `push_encoding`. `state` is the job's initial one.
  Block(int index, const Interval& elements, v1::Encoding push_encoding,
        BlockState state, BlockAggregator aggregator)
      : index_(index),
        elements_(elements),
        push_encoding_(push_encoding),
        state_(std::move(state)),
        aggregator_(std::move(aggregator)) {}

  int index() const { return index_; }
  const Interval& elements() const { return elements_; }
  size_t payload_bytes() const {
    return static_cast<size_t>(elements_.size()) *
           BytesPerValue(push_encoding_);
  }

  // The contribution's range must be a node and the payload of this block's
  // size. Otherwise as ShardStore::Push.
  absl::StatusOr<PushDone> Push(const Contribution& contribution,
                                const FragmentedBytes& payload);

  // Gives the answer at once, or keeps `done` until the version is there, under
  // `ticket`. As ShardStore::Pull.
  std::optional<PullAnswer> Pull(int64_t version, uint64_t ticket,
                                 PullCallback done, int64_t generation);

  // The end of the wait, if it still goes on.
  std::optional<PullAnswer> Cancel(uint64_t ticket);

  // Ends every wait and refuses all that comes later.
  std::vector<PullAnswer> Shutdown();

  // Gives the version, or will give it with the push that makes it, unless a
  // later capture or Suspend comes before. As ShardStore::Capture.
  absl::StatusOr<std::optional<BlockSnapshot>> Capture(uint64_t capture,
                                                       int64_t generation,
                                                       int64_t version);

  // Ends every wait and refuses all that comes until Resume.
  std::vector<PullAnswer> Suspend();
  // The way to Resume, for one thread: forgets partial sums, and the state,
  // whose memory is free then, unless it is the job's initial one and
  // `keep_initial`. Gives whether it was kept.
  bool Clear(bool keep_initial);
  // In place of what was cleared.
  void Install(BlockState state, bool is_initial);
  void Resume(int64_t generation);

  int64_t newest_version() const;

  // Adds everything that Push can change to `digest`. Uses `stream` to read
  // device memory.
  absl::Status AddToDigest(Stream& stream, Sha256& digest) const;

 private:
  struct Wait {
    uint64_t ticket;
    PullCallback done;
    int64_t generation;
  };

  // What the block is to give when it comes to a version; no id for nothing.
  struct CaptureOrder {
    uint64_t capture = 0;
    int64_t version = 0;
  };

  // Counts it, once the lock is held, with the payload's digest.
  absl::StatusOr<PushDone> Count(const Contribution& contribution,
                                 const FragmentedBytes& payload,
                                 uint32_t digest)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether a push of what was counted already may pass.
  absl::Status CheckRepeat(const Contribution& contribution,
                           const FragmentedBytes& payload,
                           uint32_t digest) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // INVALID_ARGUMENT for a payload with a value that is none.
  absl::Status CheckValues(const Contribution& contribution,
                           const FragmentedBytes& payload) const;
  // Why the sum was not finite.
  absl::Status NotFinite(const Contribution& contribution,
                         const FragmentedBytes& payload) const;
  absl::Status NotServed() const;
  // Whether a request of that generation may be looked at.
  absl::Status CheckServing(int64_t generation) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Runs the optimizer on the step's total and answers who waited for it. Gives
  // false, with nothing changed, when the total is not finite.
  absl::StatusOr<bool> Complete(const BlockAggregator::Result& sum,
                                PushDone& done)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The version, if it is held; else why it is not.
  absl::StatusOr<BlockVersion> Find(int64_t version) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  BlockVersion Share(const VersionedValues& values) const;
  std::vector<PullAnswer> EndWaits(const absl::StatusOr<BlockVersion>& result)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const int index_;
  const Interval elements_;
  const v1::Encoding push_encoding_;

  mutable Mutex mutex_;
  BlockState state_ ABSL_GUARDED_BY(mutex_);
  BlockAggregator aggregator_ ABSL_GUARDED_BY(mutex_);
  CountedRanges counted_ ABSL_GUARDED_BY(mutex_);
  // All wait for the version after the newest.
  std::vector<Wait> waits_ ABSL_GUARDED_BY(mutex_);
  CaptureOrder capture_ ABSL_GUARDED_BY(mutex_);
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  bool suspended_ ABSL_GUARDED_BY(mutex_) = false;
  int64_t generation_ ABSL_GUARDED_BY(mutex_) = 0;
  // Whether state_ came from the job's initial one.
  bool began_initial_ ABSL_GUARDED_BY(mutex_) = true;
};

}  // namespace tessera

#endif  // TESSERA_SERVER_SHARD_BLOCK_H_
