#include "server/shard/shard_store.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/sha256.h"
#include "common/base/status_macros.h"
#include "common/device/buffer_pool.h"
#include "common/wire/encoding.h"
#include "server/shard/block.h"
#include "server/shard/initializer.h"
#include "server/shard/kernels.h"
#include "server/shard/step_tracker.h"
#include "server/shard/worker_counters.h"

namespace tessera {
namespace {

void Deliver(std::vector<PullAnswer> answers) {
  for (PullAnswer& answer : answers) answer.done(std::move(answer.result));
}

class ShardStoreImpl final : public ShardStore {
 public:
  ShardStoreImpl(const Job& job, const ShardPlan& plan, int shard,
                 Device& device, Kernels kernels,
                 std::shared_ptr<HostMemorySource> version_memory)
      : job_(job),
        plan_(plan),
        shard_(shard),
        device_(device),
        kernels_(std::move(kernels)),
        values_(device, MemoryKind::kHost, std::move(version_memory)),
        slots_(device, MemoryKind::kDevice),
        device_values_(device, MemoryKind::kDevice),
        sums_(device, MemoryKind::kDevice),
        steps_(static_cast<int>(plan.ShardBlocks(shard).size())) {}

  // Makes the blocks; once, before all else.
  absl::Status Fill(const ParameterSource& initial);

  void SetStepListener(StepListener listener) override {
    steps_.SetListener(std::move(listener));
  }
  absl::StatusOr<PushResult> Push(const Contribution& contribution,
                                  const FragmentedBytes& payload) override;
  uint64_t Pull(int block, int64_t version, PullCallback done,
                int64_t generation) override;
  void Cancel(int block, uint64_t ticket) override;
  void Shutdown() override;
  void Suspend() override {}
  absl::Status Restore(int64_t, int64_t, const SectionSource&) override {
    return absl::UnimplementedError("Restore");
  }
  absl::Status Capture(int64_t, int64_t, CaptureDone) override {
    return absl::UnimplementedError("Capture");
  }
  void DropCapture() override {}
  int64_t generation() const override { return 0; }
  ShardStats Stats() const override;
  uint64_t StateHash() const override;

 private:
  absl::StatusOr<Block*> Find(int block) const;
  absl::Status Check(const Contribution& contribution,
                     const FragmentedBytes& payload, const Block& block) const;

  const Job& job_;
  const ShardPlan plan_;
  const int shard_;
  Device& device_;
  const Kernels kernels_;

  // These look after themselves.
  BufferPool values_;
  BufferPool slots_;
  BufferPool device_values_;  // Empty on devices that work on host memory.
  BufferPool sums_;
  StepTracker steps_;
  WorkerCounters workers_;
  std::atomic<uint64_t> last_ticket_ = 0;
  // In order; fixed once filled. Unique pointers, as a block cannot move.
  std::vector<std::unique_ptr<Block>> blocks_;
};

absl::Status ShardStoreImpl::Fill(const ParameterSource& initial) {
  TESSERA_ASSIGN_OR_RETURN(std::unique_ptr<Stream> stream,
                           device_.CreateStream());
  const Interval owned = plan_.ShardBlocks(shard_);
  const BlockMemory memory{.values = &values_,
                           .slots = &slots_,
                           .device_values = device_.kind() == DeviceKind::kCpu
                                                ? nullptr
                                                : &device_values_};
  // One partial sum for each block is set aside: what a step needs when every
  // block waits for one more range. More is taken only while more wait.
  std::vector<BufferRef> set_aside;
  for (int64_t i = owned.begin; i < owned.end; ++i) {
    const int index = static_cast<int>(i);
    const Interval elements = plan_.BlockElements(index);
    const auto fill = [&](absl::Span<float> values) {
      initial(elements.begin, values);
    };
    TESSERA_ASSIGN_OR_RETURN(
        BlockState state,
        BlockState::Create(static_cast<size_t>(elements.size()), fill,
                           job_.pull_encoding(), *kernels_.optimizer, memory,
                           *stream));
    TESSERA_ASSIGN_OR_RETURN(
        BufferRef sum,
        sums_.Get(static_cast<size_t>(elements.size()) * sizeof(float)));
    set_aside.push_back(std::move(sum));
    blocks_.push_back(std::make_unique<Block>(
        index, elements, job_.push_encoding(), std::move(state),
        BlockAggregator(job_.tree(), *kernels_.math, sums_,
                        job_.push_encoding())));
  }
  return absl::OkStatus();
}

absl::StatusOr<Block*> ShardStoreImpl::Find(int block) const {
  const Interval owned = plan_.ShardBlocks(shard_);
  if (!owned.Contains(block)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "block ", block, " is not of shard ", shard_, ", which has blocks [",
        owned.begin, ", ", owned.end, ") of the job's ", plan_.block_count()));
  }
  return blocks_[static_cast<size_t>(block - owned.begin)].get();
}

absl::Status ShardStoreImpl::Check(const Contribution& contribution,
                                   const FragmentedBytes& payload,
                                   const Block& block) const {
  const auto error = [&](const auto&... words) {
    return absl::InvalidArgumentError(
        absl::StrCat("push of worker ", contribution.worker.value(),
                     " for block ", contribution.block, ": ", words...));
  };
  if (contribution.step < 0) {
    return error("step ", contribution.step, " is negative");
  }
  if (!job_.tree().IsNode(contribution.range)) {
    return error("range ", ToString(contribution.range),
                 " is no node of the reduction tree over ", job_.microbatches(),
                 " microbatches");
  }
  if (job_.pushes_single_microbatches() && contribution.range.size() > 1) {
    return error("range ", ToString(contribution.range),
                 ": where gradients are rounded for the wire, each microbatch "
                 "is pushed by itself");
  }
  if (payload.size() != block.payload_bytes()) {
    return error("payload has ", payload.size(), " bytes where the block has ",
                 block.payload_bytes(), " in ",
                 v1::Encoding_Name(job_.push_encoding()));
  }
  if (!std::isfinite(contribution.loss_sum)) {
    return error("its loss is ", contribution.loss_sum);
  }
  return absl::OkStatus();
}

absl::StatusOr<PushResult> ShardStoreImpl::Push(
    const Contribution& contribution, const FragmentedBytes& payload) {
  TESSERA_ASSIGN_OR_RETURN(Block* const block, Find(contribution.block));
  TESSERA_RETURN_IF_ERROR(Check(contribution, payload, *block));
  TESSERA_ASSIGN_OR_RETURN(Block::PushDone done,
                           block->Push(contribution, payload));
  workers_.Count(contribution.worker, done.result.outcome,
                 static_cast<int64_t>(payload.size()));
  if (done.result.outcome == PushOutcome::kCompleted) {
    steps_.BlockCompleted(contribution.step, contribution.block == 0,
                          done.loss_sum / job_.microbatches());
  }
  Deliver(std::move(done.answers));
  return done.result;
}

uint64_t ShardStoreImpl::Pull(int block, int64_t version, PullCallback done,
                              int64_t /*generation*/) {
  const uint64_t ticket = ++last_ticket_;
  const absl::StatusOr<Block*> found = Find(block);
  if (!found.ok()) {
    done(found.status());
    return ticket;
  }
  std::optional<PullAnswer> answer =
      (*found)->Pull(version, ticket, std::move(done));
  if (answer.has_value()) answer->done(std::move(answer->result));
  return ticket;
}

void ShardStoreImpl::Cancel(int block, uint64_t ticket) {
  const absl::StatusOr<Block*> found = Find(block);
  if (!found.ok()) return;
  std::optional<PullAnswer> answer = (*found)->Cancel(ticket);
  if (answer.has_value()) answer->done(std::move(answer->result));
}

void ShardStoreImpl::Shutdown() {
  for (const std::unique_ptr<Block>& block : blocks_) {
    Deliver(block->Shutdown());
  }
}

ShardStats ShardStoreImpl::Stats() const {
  ShardStats stats;
  stats.version_min = blocks_.front()->newest_version();
  stats.version_max = stats.version_min;
  for (const std::unique_ptr<Block>& block : blocks_) {
    const int64_t version = block->newest_version();
    stats.version_min = std::min(stats.version_min, version);
    stats.version_max = std::max(stats.version_max, version);
  }
  stats.parameter_bytes =
      plan_.ShardElements(shard_).size() * static_cast<int64_t>(sizeof(float));
  if (job_.pull_encoding() != v1::ENCODING_FLOAT32) {
    stats.encoded_bytes =
        plan_.ShardElements(shard_).size() *
        static_cast<int64_t>(BytesPerValue(job_.pull_encoding()));
  }
  stats.older_version_bytes = values_.usage().in_use_bytes -
                              stats.parameter_bytes - stats.encoded_bytes;
  // One accumulator for each block, of its size, was set aside.
  stats.gradient_bytes = stats.parameter_bytes;
  stats.extra_gradient_bytes =
      sums_.usage().in_use_bytes_max - stats.gradient_bytes;
  stats.optimizer_bytes = slots_.usage().in_use_bytes;
  stats.traffic = workers_.All();
  return stats;
}

uint64_t ShardStoreImpl::StateHash() const {
  absl::StatusOr<std::unique_ptr<Stream>> stream = device_.CreateStream();
  TESSERA_CHECK(stream.ok());
  Sha256 digest;
  for (const std::unique_ptr<Block>& block : blocks_) {
    TESSERA_CHECK(block->AddToDigest(**stream, digest).ok());
  }
  const std::array<uint8_t, 32> bytes = digest.Finish();
  uint64_t hash;
  std::memcpy(&hash, bytes.data(), sizeof(hash));
  return hash;
}

}  // namespace

absl::StatusOr<std::unique_ptr<ShardStore>> ShardStore::Create(
    const Job& job, const ShardPlan& plan, int shard, Device& device,
    const ParameterSource& initial,
    std::shared_ptr<HostMemorySource> version_memory) {
  if (shard < 0 || shard >= plan.shard_count()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "shard ", shard, " is not one of the plan's ", plan.shard_count()));
  }
  if (plan.elements() != job.layout().total_elements()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the plan cuts ", plan.elements(),
        " elements where the job's model has ", job.layout().total_elements()));
  }
  TESSERA_ASSIGN_OR_RETURN(Kernels kernels, MakeKernels(job, device));
  auto store = std::make_unique<ShardStoreImpl>(
      job, plan, shard, device, std::move(kernels), std::move(version_memory));
  const ParameterSource draw = [&job](int64_t first, absl::Span<float> values) {
    DrawParameters(job.layout(), job.proto().seed(), first, values);
  };
  TESSERA_RETURN_IF_ERROR(store->Fill(initial == nullptr ? draw : initial));
  return store;
}

}  // namespace tessera
