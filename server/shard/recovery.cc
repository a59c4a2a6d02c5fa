// How a shard store comes to its state, at the start and when it goes back, and
// how that is captured.

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "server/shard/initializer.h"
#include "server/shard/kernels.h"
#include "server/shard/shard_store_impl.h"

namespace tessera {

BlockMemory ShardStoreImpl::MemoryOfBlocks() {
  return {.values = &values_,
          .slots = &slots_,
          .device_values =
              device_.kind() == DeviceKind::kCpu ? nullptr : &device_values_};
}

absl::StatusOr<BlockState> ShardStoreImpl::InitialState(
    const Interval& elements, Stream& stream) {
  const auto fill = [&](absl::Span<float> values) {
    initial_(elements.begin, values);
  };
  return BlockState::Create(static_cast<size_t>(elements.size()), fill,
                            job_.pull_encoding(), *kernels_.optimizer,
                            MemoryOfBlocks(), stream);
}

absl::Status ShardStoreImpl::Fill() {
  TESSERA_ASSIGN_OR_RETURN(std::unique_ptr<Stream> stream,
                           device_.CreateStream());
  const Interval owned = plan_.ShardBlocks(shard_);
  // One partial sum for each block is set aside: what a step needs when every
  // block waits for one more range. More is taken only while more wait.
  std::vector<BufferRef> set_aside;
  for (int64_t i = owned.begin; i < owned.end; ++i) {
    const int index = static_cast<int>(i);
    const Interval elements = plan_.BlockElements(index);
    TESSERA_ASSIGN_OR_RETURN(BlockState state, InitialState(elements, *stream));
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

void ShardStoreImpl::Suspend() {
  for (const std::unique_ptr<Block>& block : blocks_) Deliver(block->Suspend());
  // After that no capture can begin.
  DropCapture();
}

void ShardStoreImpl::EndCapture(const CaptureDone& done) {
  if (done == nullptr) return;
  done(absl::AbortedError(
      "the capture ended before every block came to its version"));
}

void ShardStoreImpl::AddToCapture(uint64_t capture, int block,
                                  BlockSnapshot snapshot) {
  std::optional<CaptureCollector::Complete> complete = captures_.Add(
      capture, static_cast<size_t>(block - plan_.ShardBlocks(shard_).begin),
      std::move(snapshot));
  if (!complete.has_value()) return;
  complete->done(std::shared_ptr<ShardSnapshot>(
      MakeShardSnapshot(plan_, shard_, device_, std::move(complete->blocks))));
}

absl::Status ShardStoreImpl::Capture(int64_t generation, int64_t version,
                                     CaptureDone done) {
  CaptureDone ended;
  const uint64_t id = captures_.Begin(blocks_.size(), std::move(done), ended);
  EndCapture(ended);
  for (const std::unique_ptr<Block>& block : blocks_) {
    absl::StatusOr<std::optional<BlockSnapshot>> captured =
        block->Capture(id, generation, version);
    if (!captured.ok()) {
      // Unless somebody else ended it, and said so.
      if (captures_.End(id) != nullptr) return captured.status();
      return absl::OkStatus();
    }
    if (captured->has_value()) {
      AddToCapture(id, block->index(), **std::move(captured));
    }
  }
  return absl::OkStatus();
}

absl::Status ShardStoreImpl::CheckRestore(int64_t generation, int64_t version,
                                          bool has_source) const {
  if (stopped_) return absl::UnavailableError("the server is stopping");
  if (generation <= this->generation()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "restore in generation ", generation, " of a shard that has been in ",
        this->generation(), ": it must be higher"));
  }
  if (version < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("restore to version ", version, ": it is negative"));
  }
  if (version > 0 && !has_source) {
    return absl::InvalidArgumentError(absl::StrCat(
        "restore to version ", version, " without a source of its values"));
  }
  return absl::OkStatus();
}

absl::Status ShardStoreImpl::Restore(int64_t generation, int64_t version,
                                     const SectionSource& source) {
  TESSERA_RETURN_IF_ERROR(CheckRestore(generation, version, source != nullptr));
  // All blocks: what comes for one that is restored already must not meet one
  // that is not.
  Suspend();
  TESSERA_ASSIGN_OR_RETURN(std::unique_ptr<Stream> stream,
                           device_.CreateStream());
  for (const std::unique_ptr<Block>& block : blocks_) {
    TESSERA_RETURN_IF_ERROR(RestoreBlock(*block, version, source, *stream));
  }
  steps_.Reset(generation, version);
  generation_ = generation;
  for (const std::unique_ptr<Block>& block : blocks_) block->Resume(generation);
  return absl::OkStatus();
}

absl::Status ShardStoreImpl::RestoreBlock(Block& block, int64_t version,
                                          const SectionSource& source,
                                          Stream& stream) {
  const Interval& elements = block.elements();
  if (source == nullptr) {
    if (block.Clear(/*keep_initial=*/true)) return absl::OkStatus();
    TESSERA_ASSIGN_OR_RETURN(BlockState state, InitialState(elements, stream));
    block.Install(std::move(state), /*is_initial=*/true);
    return absl::OkStatus();
  }
  block.Clear(/*keep_initial=*/false);
  // Not under the block's lock, as it may take long; nobody else may touch it.
  const auto fill = [&](int section, absl::Span<float> values) {
    return source(section, elements.begin, values);
  };
  TESSERA_ASSIGN_OR_RETURN(
      BlockState state,
      BlockState::Restore(static_cast<size_t>(elements.size()), version, fill,
                          job_.pull_encoding(), *kernels_.optimizer,
                          MemoryOfBlocks(), stream));
  block.Install(std::move(state), /*is_initial=*/false);
  return absl::OkStatus();
}

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
  const ParameterSource draw = [&job](int64_t first, absl::Span<float> values) {
    DrawParameters(job.layout(), job.proto().seed(), first, values);
  };
  auto store = std::make_unique<ShardStoreImpl>(
      job, plan, shard, device, std::move(kernels),
      initial == nullptr ? draw : initial, std::move(version_memory));
  TESSERA_RETURN_IF_ERROR(store->Fill());
  return store;
}

}  // namespace tessera
