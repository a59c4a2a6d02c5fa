// What the ceiling's and the baseline's servers do with gradients: the same
// sums and the same update as Tessera's servers, as plainly as it can be done.

#ifndef TESSERA_WORKER_BENCH_SHARD_SUMS_H_
#define TESSERA_WORKER_BENCH_SHARD_SUMS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "common/plan/shard_plan.h"

namespace tessera::bench {

// acc[i] += g[i], and acc[i] = g[i].
void Accumulate(const float* g, size_t count, float* acc);
void Assign(const float* g, size_t count, float* acc);
// x[i] -= unit * (acc[i] + g[i]); `acc` may be null for 0.
void Update(float unit, const float* acc, const float* g, size_t count,
            float* x);

// One shard's parameters, from 0 on, updated in place: x <- x - unit * (sum of
// all workers' gradients). Takes gradients in pieces, as they come off a
// socket, from all workers side by side; each piece is used while it is still
// in the cache, and the last one for an element updates it in the same pass.
// Not thread-safe.
class ShardSums {
 public:
  ShardSums(const ShardPlan& plan, int shard, int workers, float unit);

  // Whether this worker may begin to push this step of the block. Codes:
  // OUT_OF_RANGE for a block of another shard; FAILED_PRECONDITION for another
  // step than the one that is open, or one that this worker has pushed.
  absl::Status CheckPush(int worker, int block, int64_t step) const;

  // The next `count` values of the worker's gradient of this block.
  void Add(int worker, int block, const float* values, size_t count);

  // Whether the block moved to its next version, now that one more
  // gradient is there as a whole.
  bool FinishPush(int block);

  int64_t version(int block) const { return At(block).version; }
  bool Owns(int block) const { return blocks_.Contains(block); }
  absl::Span<const float> values(int block) const;

 private:
  struct Block {
    int64_t version = 0;
    int workers_done = 0;
    // How many values of each worker's gradient are in, at this step.
    std::vector<size_t> counts;
  };

  const Block& At(int block) const {
    return states_[static_cast<size_t>(block - blocks_.begin)];
  }
  // From `first` on: over how many others' gradients the same number of workers
  // have come already, and that number.
  int OthersAt(const Block& block, int worker, size_t first,
               size_t& count) const;

  const ShardPlan plan_;
  const Interval blocks_;
  const int64_t first_element_;
  const int workers_;
  const float unit_;
  std::vector<float> x_;
  std::vector<float> sums_;  // Empty for one worker.
  std::vector<Block> states_;
};

}  // namespace tessera::bench

#endif  // TESSERA_WORKER_BENCH_SHARD_SUMS_H_
