// One shard of a job: its blocks' parameters, partial sums and optimizer state.
//
//                 Push(step t, range)                    Pull(version v)
//                        |                                     |
//      BlockAggregator: partial sums along the tree            |
//                        | all M microbatches are in           |
//                 Optimizer::Apply                             |
//                        v                                     v
//      version t + 1, immutable ------> kept: t and t + 1 -> answers
//
// Version v of a block is its state before step v. A block keeps its newest
// version and the one before: a push for step v proves that its sender held
// every block of every shard at version v, so the first such push releases
// version v - 1. Until then some other shard may still need a worker that
// starts again from v - 1.

#ifndef TESSERA_SERVER_SHARD_SHARD_STORE_H_
#define TESSERA_SERVER_SHARD_SHARD_STORE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/base/strong_id.h"
#include "common/device/device.h"
#include "common/device/host_memory_source.h"
#include "common/job/job.h"
#include "common/plan/reduction_tree.h"
#include "common/plan/shard_plan.h"
#include "common/tensor/fragments.h"
#include "server/shard/shard_snapshot.h"

namespace tessera {

// A gradient's key, and what comes with it.
struct Contribution {
  int block = 0;  // Among all blocks of the job.
  int64_t step = 0;
  MicrobatchRange range;
  WorkerId worker;      // Who sent it: for messages and counters only.
  double loss_sum = 0;  // Over the range's microbatches.
  // The generation that the sender works in; 0 is not checked.
  int64_t generation = 0;
};

enum class PushOutcome {
  kAdded,      // Counted; the step still waits for other ranges.
  kDuplicate,  // Was counted already; nothing changed.
  kCompleted,  // Counted, and the block moved to version step + 1.
};

struct PushResult {
  PushOutcome outcome = PushOutcome::kAdded;
  int64_t newest_version = 0;  // Of the block, after this push.
};

// One version of one block. Immutable, in host memory; lives as long as `owner`
// does. Two views of it: to answer a pull in job.pull_encoding(), send
// `payload` as it is; to answer one that asks for ENCODING_FLOAT32, which any
// may, send the bytes of `values`. In a job whose pulls are float32 both are
// the same memory; elsewhere the payload was rounded once, when the version was
// made.
struct BlockVersion {
  int block = 0;
  int64_t version = 0;
  absl::Span<const float> values;     // Exact.
  absl::Span<const uint8_t> payload;  // In job.pull_encoding().
  std::shared_ptr<const void> owner;
};

// Called exactly once, with a version or with why there is none: on the
// caller's thread before Pull returns, or later on the thread whose push
// completed the step, which must not be kept long. It may call the store.
using PullCallback = std::function<void(absl::StatusOr<BlockVersion>)>;

struct WorkerTraffic {
  WorkerId worker;
  int64_t pushes = 0;
  int64_t duplicates = 0;
  int64_t pushed_bytes = 0;
};

struct ShardStats {
  int64_t version_min = 0;
  int64_t version_max = 0;
  int64_t parameter_bytes = 0;  // One version of this shard, float32.
  // One version as pulls want it, where that is not float32; else 0.
  int64_t encoded_bytes = 0;
  // Kept, or referred to by answers and captures.
  int64_t older_version_bytes = 0;
  int64_t gradient_bytes = 0;  // One accumulator for each block.
  // Further partial sums, at the moment when most were there at once, so far.
  // Each push under way takes one for the sum that it makes.
  int64_t extra_gradient_bytes = 0;
  int64_t optimizer_bytes = 0;  // With what captures refer to.
  std::vector<WorkerTraffic> traffic;
};

// Thread-safe: blocks are independent, each under its own lock.
class ShardStore {
 public:
  // Names no newest version in particular.
  static constexpr int64_t kNewest = -1;

  // Step `step` is complete on every block of this shard, with the mean loss of
  // its microbatches (meaningful on shard 0, which owns block 0). Called once a
  // step, in order, from a completing thread, outside any lock, and before the
  // completing push answers the pulls that waited for it.
  // Not called for steps of a generation that is over; but a call that has
  // begun may go on while Restore returns.
  using StepListener =
      std::function<void(int64_t generation, int64_t step, double mean_loss)>;

  // Fills in elements [first, first + values.size()) of the flat vector.
  using ParameterSource =
      std::function<void(int64_t first, absl::Span<float> values)>;

  // Version 0 comes from `initial`, which must give finite values, and again
  // when Restore goes back to it; without it it is drawn as the job says.
  // Versions lie in memory of `version_memory` as
  // far as that reaches. `device` and `job` must outlive the store and
  // every version that it gave. Codes: INVALID_ARGUMENT when `shard` is not of
  // `plan`, or the plan has not as many elements as the job;
  // RESOURCE_EXHAUSTED when memory does not suffice; FAILED_PRECONDITION when
  // this build cannot keep a shard on the device.
  static absl::StatusOr<std::unique_ptr<ShardStore>> Create(
      const Job& job, const ShardPlan& plan, int shard, Device& device,
      const ParameterSource& initial = nullptr,
      std::shared_ptr<HostMemorySource> version_memory = nullptr);

  // Fills in a section of elements [first, first + values.size()) at the
  // version to restore: section 0 the parameters, 1 + i optimizer slot i. An
  // error ends Restore, which returns it.
  using SectionSource = std::function<absl::Status(int section, int64_t first,
                                                   absl::Span<float> values)>;

  virtual ~ShardStore() = default;

  // Before the first push; at most one.
  virtual void SetStepListener(StepListener listener) = 0;

  // Adds a gradient: the whole block's values in job.push_encoding(), the sum
  // over the range's microbatches. The payload is read before Push returns.
  // Codes, with the state unchanged:
  //   INVALID_ARGUMENT  block not of this shard, negative step, a range that is
  //                     no node of the job's tree (or more than one microbatch,
  //                     see Job::pushes_single_microbatches), wrong payload
  //                     size, or a value (or loss) that is NaN or infinite, or
  //                     becomes so in a sum: names worker, block and index
  //   OUT_OF_RANGE      a step above the block's newest version
  //   UNAVAILABLE       after Shutdown
  //   RESOURCE_EXHAUSTED  no memory for another partial sum
  //   ABORTED           a generation below the store's
  //   UNAVAILABLE       a generation above it, or while the shard is Suspended
  //   ALREADY_EXISTS    the same key was counted with other bytes, in the step
  //                     at hand or the one before: names both senders
  // A step below the newest version was counted already: kDuplicate. So was a
  // range that others cover, whose bytes cannot be compared. A push may answer
  // pulls, on this thread, before it returns.
  virtual absl::StatusOr<PushResult> Push(const Contribution& contribution,
                                          const FragmentedBytes& payload) = 0;

  // Fetches a version, now or once it exists. Returns a ticket for Cancel.
  // Codes given to `done`:
  //   INVALID_ARGUMENT  block not of this shard, or a negative version other
  //                     than kNewest
  //   OUT_OF_RANGE      a version older than those held, or newer than the
  //                     newest + 1, which no push can produce next
  //   CANCELLED         Cancel
  //   UNAVAILABLE       Shutdown, Suspend, or a generation above the store's
  //   ABORTED           a generation below it; also ends a wait, in Restore and
  //                     Suspend, that has a generation
  // A generation of 0 is not checked.
  virtual uint64_t Pull(int block, int64_t version, PullCallback done,
                        int64_t generation = 0) = 0;

  // Ends a wait with CANCELLED, on this thread. Does nothing to a pull that has
  // been answered.
  virtual void Cancel(int block, uint64_t ticket) = 0;

  // Ends every wait, and all later calls, with UNAVAILABLE.
  virtual void Shutdown() = 0;

  // Until the next Restore every call is refused with UNAVAILABLE, and waits
  // end: ABORTED where they have a generation, else UNAVAILABLE.
  virtual void Suspend() = 0;

  // Takes every block to `version`, forgets partial sums and captures, and
  // serves `generation`, which must be above 0 and the one before. `source`
  // gives the values; null, with version 0, for the job's initial state (free
  // where the store is at version 0 and nothing was pushed yet). On an error
  // the store is left suspended. Codes: those of `source` and of
  // common/device/device.h; and, with nothing changed, INVALID_ARGUMENT for a
  // generation or version that cannot be, UNAVAILABLE after Shutdown. Memory of
  // the old state is used again for the new one; versions that were given stay
  // as they are. One thread at a time, with Suspend.
  virtual absl::Status Restore(int64_t generation, int64_t version,
                               const SectionSource& source) = 0;

  // Called once: with the whole shard at that version, on the thread whose push
  // brought its last block there (or before Capture returns); or with ABORTED
  // when Restore, Suspend, another Capture, even one that is refused,
  // DropCapture or Shutdown came before that.
  using CaptureDone =
      std::function<void(absl::StatusOr<std::shared_ptr<ShardSnapshot>>)>;

  // Holds on to `version` of every block, at which the blocks are or to which
  // they will come. From OK on, none passes that version without being kept.
  // Codes, without a call to `done`: OUT_OF_RANGE when a block is beyond the
  // version; UNAVAILABLE while suspended; ABORTED for another generation.
  virtual absl::Status Capture(int64_t generation, int64_t version,
                               CaptureDone done) = 0;
  // Forgets a capture that is not complete.
  virtual void DropCapture() = 0;

  // What is served; 0 before the first Restore.
  virtual int64_t generation() const = 0;

  virtual ShardStats Stats() const = 0;

  // A digest of everything that Push can change (versions, parameters,
  // optimizer state, partial sums); for tests.
  virtual uint64_t StateHash() const = 0;
};

}  // namespace tessera

#endif  // TESSERA_SERVER_SHARD_SHARD_STORE_H_
