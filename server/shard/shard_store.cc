#include "server/shard/shard_store.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/sha256.h"
#include "common/base/status_macros.h"
#include "common/wire/encoding.h"
#include "server/shard/shard_store_impl.h"

namespace tessera {

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
  if (done.captured.has_value()) {
    AddToCapture(done.captured->capture, contribution.block,
                 std::move(done.captured->block));
  }
  if (done.result.outcome == PushOutcome::kCompleted) {
    steps_.BlockCompleted(done.generation, contribution.step,
                          contribution.block == 0,
                          done.loss_sum / job_.microbatches());
  }
  Deliver(std::move(done.answers));
  return done.result;
}

uint64_t ShardStoreImpl::Pull(int block, int64_t version, PullCallback done,
                              int64_t generation) {
  const uint64_t ticket = ++last_ticket_;
  const absl::StatusOr<Block*> found = Find(block);
  if (!found.ok()) {
    done(found.status());
    return ticket;
  }
  std::optional<PullAnswer> answer =
      (*found)->Pull(version, ticket, std::move(done), generation);
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
  stopped_ = true;
  for (const std::unique_ptr<Block>& block : blocks_) {
    Deliver(block->Shutdown());
  }
  DropCapture();
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
  // Less is there while the shard is restored.
  stats.older_version_bytes =
      std::max(int64_t{0}, values_.usage().in_use_bytes -
                               stats.parameter_bytes - stats.encoded_bytes);
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

}  // namespace tessera
