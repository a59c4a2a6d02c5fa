// The shard store: what its parts have to do with each other.
//
// shard_store.cc has the way of pushes and pulls, recovery.cc how a store comes
// to its state, at the start and when it goes back, and how that is captured.

#ifndef TESSERA_SERVER_SHARD_SHARD_STORE_IMPL_H_
#define TESSERA_SERVER_SHARD_SHARD_STORE_IMPL_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/device/buffer_pool.h"
#include "common/device/device.h"
#include "common/device/host_memory_source.h"
#include "common/job/job.h"
#include "common/plan/shard_plan.h"
#include "server/shard/block.h"
#include "server/shard/capture.h"
#include "server/shard/kernels.h"
#include "server/shard/shard_store.h"
#include "server/shard/step_tracker.h"
#include "server/shard/worker_counters.h"

namespace tessera {

// Calls everyone back; not under a lock.
inline void Deliver(std::vector<PullAnswer> answers) {
  for (PullAnswer& answer : answers) answer.done(std::move(answer.result));
}

class ShardStoreImpl final : public ShardStore {
 public:
  ShardStoreImpl(const Job& job, const ShardPlan& plan, int shard,
                 Device& device, Kernels kernels, ParameterSource initial,
                 std::shared_ptr<HostMemorySource> version_memory)
      : job_(job),
        plan_(plan),
        shard_(shard),
        device_(device),
        kernels_(std::move(kernels)),
        initial_(std::move(initial)),
        values_(device, MemoryKind::kHost, std::move(version_memory)),
        slots_(device, MemoryKind::kDevice),
        device_values_(device, MemoryKind::kDevice),
        sums_(device, MemoryKind::kDevice),
        steps_(static_cast<int>(plan.ShardBlocks(shard).size())) {}

  // Makes the blocks; once, before all else.
  absl::Status Fill();

  void SetStepListener(StepListener listener) override {
    steps_.SetListener(std::move(listener));
  }
  absl::StatusOr<PushResult> Push(const Contribution& contribution,
                                  const FragmentedBytes& payload) override;
  uint64_t Pull(int block, int64_t version, PullCallback done,
                int64_t generation) override;
  void Cancel(int block, uint64_t ticket) override;
  void Shutdown() override;
  void Suspend() override;
  absl::Status Restore(int64_t generation, int64_t version,
                       const SectionSource& source) override;
  absl::Status Capture(int64_t generation, int64_t version,
                       CaptureDone done) override;
  void DropCapture() override { EndCapture(captures_.End()); }
  int64_t generation() const override { return generation_; }
  ShardStats Stats() const override;
  uint64_t StateHash() const override;

 private:
  absl::StatusOr<Block*> Find(int block) const;
  absl::Status Check(const Contribution& contribution,
                     const FragmentedBytes& payload, const Block& block) const;
  // Tells whoever waits for a capture, if anybody, that it has ended.
  static void EndCapture(const CaptureDone& done);
  // Adds a block to a capture, and completes that if it was the last.
  void AddToCapture(uint64_t capture, int block, BlockSnapshot snapshot);
  absl::Status CheckRestore(int64_t generation, int64_t version,
                            bool has_source) const;
  // Where blocks' memory comes from.
  BlockMemory MemoryOfBlocks();
  absl::StatusOr<BlockState> InitialState(const Interval& elements,
                                          Stream& stream);
  // Takes a suspended block to the version.
  absl::Status RestoreBlock(Block& block, int64_t version,
                            const SectionSource& source, Stream& stream);

  const Job& job_;
  const ShardPlan plan_;
  const int shard_;
  Device& device_;
  const Kernels kernels_;
  const ParameterSource initial_;

  // These look after themselves.
  BufferPool values_;
  BufferPool slots_;
  BufferPool device_values_;  // Empty on devices that work on host memory.
  BufferPool sums_;
  StepTracker steps_;
  WorkerCounters workers_;
  CaptureCollector captures_;
  std::atomic<uint64_t> last_ticket_ = 0;
  std::atomic<int64_t> generation_ = 0;
  std::atomic<bool> stopped_ = false;
  // In order; fixed once filled. Unique pointers, as a block cannot move.
  std::vector<std::unique_ptr<Block>> blocks_;
};

}  // namespace tessera

#endif  // TESSERA_SERVER_SHARD_SHARD_STORE_IMPL_H_
