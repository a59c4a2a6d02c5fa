// All shards of a job, in as few words as their contract allows: who pushed
// what, and which versions are held. See server/shard/shard_store.h.
//
// Microbatch m contributes 2^m, so the sum of a step tells which microbatches
// it holds, and how often each.

#ifndef TESSERA_TESTS_SIMULATION_SHARD_MODEL_H_
#define TESSERA_TESTS_SIMULATION_SHARD_MODEL_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "common/job/job.h"
#include "common/plan/reduction_tree.h"
#include "common/plan/shard_plan.h"

namespace tessera {

// A block at a version, or why there is none.
struct BlockReply {
  bool too_old = false;  // The version is no longer held: OUT_OF_RANGE.
  int64_t version = 0;
  uint64_t content = 0;  // Stands for the block's values.
};

// Not thread-safe.
class ShardModel {
 public:
  using Done = std::function<void(const BlockReply&)>;
  // A step is complete on all blocks of shard 0.
  using StepListener = std::function<void(int64_t step)>;
  // A rule was broken, in words.
  using Complain = std::function<void(const std::string&)>;

  ShardModel(const Job& job, const ShardPlan& plan, StepListener on_step,
             Complain complain);

  int block_count() const { return static_cast<int>(blocks_.size()); }
  int64_t NewestVersion(int block) const;
  // The newest version that all blocks have reached.
  int64_t CompleteVersion() const;

  // Where each block is, and what its step has got so far.
  std::string Describe() const;

  // Adds a contribution and answers, now or later, with version step + 1.
  void PushPull(int block, int64_t step, const MicrobatchRange& range,
                uint64_t sum, Done done);
  void Pull(int block, int64_t version, Done done);

  // What version `version` of `block` holds if every microbatch of every step
  // counts once.
  static uint64_t Content(const Job& job, int block, int64_t version);
  // The sum of 2^m over the range.
  static uint64_t SumOf(const MicrobatchRange& range);

 private:
  struct Contribution {
    MicrobatchRange range;
    uint64_t sum = 0;
  };
  struct Waiter {
    int64_t version = 0;
    Done done;
  };
  struct Block {
    int64_t newest = 0;
    bool holds_older = false;  // Version newest - 1.
    uint64_t content = 0;
    uint64_t older_content = 0;
    std::vector<Contribution> contributions;  // To step `newest`.
    std::vector<Waiter> waiters;
  };

  void AddContribution(Block& block, const MicrobatchRange& range,
                       uint64_t sum);
  void CompleteStep(Block& block);
  bool CompleteOnShard0(int64_t step) const;

  const Job& job_;
  const int shard0_blocks_;
  const StepListener on_step_;
  const Complain complain_;
  std::vector<Block> blocks_;
};

}  // namespace tessera

#endif  // TESSERA_TESTS_SIMULATION_SHARD_MODEL_H_
