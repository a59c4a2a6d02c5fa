// All shards of a job in one process, driven the way that workers do.

#ifndef TESSERA_TESTS_UNIT_SHARD_TEST_SHARDS_H_
#define TESSERA_TESTS_UNIT_SHARD_TEST_SHARDS_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <vector>

#include "common/device/device.h"
#include "common/job/job.h"
#include "common/plan/reduction_tree.h"
#include "common/plan/shard_plan.h"
#include "common/tensor/fragments.h"
#include "server/shard/shard_store.h"

namespace tessera {

class TestShards {
 public:
  // The job's initial parameters, or `initial`, the whole flat vector.
  TestShards(Job job, const ShardPlan& plan,
             std::optional<std::vector<float>> initial = std::nullopt);

  const Job& job() const { return job_; }
  const ShardPlan& plan() const { return plan_; }
  ShardStore& store(int shard) { return *stores_[static_cast<size_t>(shard)]; }
  ShardStore& store_of(int block) { return store(plan_.ShardOfBlock(block)); }

  // Pushes a block of the flat vector `gradient`, rounded if the job says so.
  absl::StatusOr<PushResult> Push(int block, int64_t step,
                                  const MicrobatchRange& range,
                                  const std::vector<float>& gradient,
                                  double loss_sum = 0);

  // Pushes every block; each must be accepted.
  void PushAll(int64_t step, const MicrobatchRange& range,
               const std::vector<float>& gradient, double loss_sum = 0);

  // The newest version of the whole flat vector, exact.
  std::vector<float> Parameters();

  std::vector<uint64_t> StateHashes() const;

 private:
  Job job_;
  ShardPlan plan_;
  std::unique_ptr<Device> device_;
  std::vector<std::unique_ptr<ShardStore>> stores_;
};

// The answer to a pull that must not have to wait.
absl::StatusOr<BlockVersion> PullNow(ShardStore& store, int block,
                                     int64_t version = ShardStore::kNewest);

// A microbatch's gradient, a pure function of its arguments: values of very
// different sizes, so that every order of summing shows.
std::vector<float> TestGradient(int64_t step, int microbatch, int64_t elements);

// The sum over a node, left plus right all the way, as a worker makes it.
std::vector<float> TreeSum(const ReductionTree& tree, int64_t step,
                           const MicrobatchRange& node, int64_t elements);

// The same bytes in pieces, cut at random.
class CutBytes {
 public:
  CutBytes(const std::vector<float>& values, std::mt19937_64& random);

  const FragmentedBytes& bytes() const { return bytes_; }

 private:
  std::vector<std::vector<uint8_t>> pieces_;
  FragmentedBytes bytes_;
};

}  // namespace tessera

#endif  // TESSERA_TESTS_UNIT_SHARD_TEST_SHARDS_H_
