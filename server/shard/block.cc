#include "server/shard/block.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "server/shard/finite.h"

namespace tessera {
namespace {

void AddNumber(int64_t number, Sha256& digest) {
  digest.Update(&number, sizeof(number));
}

absl::Status AddBuffer(const BufferRef& buffer, Stream& stream,
                       Sha256& digest) {
  std::vector<uint8_t> bytes(buffer.bytes());
  TESSERA_RETURN_IF_ERROR(
      stream.Copy(bytes.data(), buffer.data(), bytes.size()));
  TESSERA_RETURN_IF_ERROR(stream.Synchronize());
  digest.Update(bytes.data(), bytes.size());
  return absl::OkStatus();
}

}  // namespace

absl::Status Block::CheckValues(const Contribution& contribution,
                                const FragmentedBytes& payload) const {
  const std::optional<NonFinite> bad = FindNonFinite(payload, push_encoding_);
  if (!bad.has_value()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "push of worker ", contribution.worker.value(), " for block ", index_,
      ": value ", bad->index, " is ", bad->value, ", and so is element ",
      elements_.begin + static_cast<int64_t>(bad->index), " of the gradient"));
}

absl::Status Block::NotFinite(const Contribution& contribution,
                              const FragmentedBytes& payload) const {
  TESSERA_RETURN_IF_ERROR(CheckValues(contribution, payload));
  return absl::InvalidArgumentError(absl::StrCat(
      "push of worker ", contribution.worker.value(), " for block ", index_,
      ", microbatches ", ToString(contribution.range), " of step ",
      contribution.step,
      ": added to those of other microbatches, its values are too large for "
      "float32; is the learning rate too high?"));
}

absl::StatusOr<Block::PushDone> Block::Push(const Contribution& contribution,
                                            const FragmentedBytes& payload) {
  // Before the lock, as it needs none; it leaves the payload in a cache.
  const uint32_t digest = DigestOf(payload);
  MutexLock lock(&mutex_);
  TESSERA_RETURN_IF_ERROR(CheckServing(contribution.generation));
  return Count(contribution, payload, digest);
}

absl::StatusOr<Block::PushDone> Block::Count(const Contribution& contribution,
                                             const FragmentedBytes& payload,
                                             uint32_t digest) {
  const int64_t newest = state_.newest().version;
  if (contribution.step > newest) {
    return absl::OutOfRangeError(
        absl::StrCat("block ", index_, " is at version ", newest,
                     ": a gradient for step ", contribution.step, " of worker ",
                     contribution.worker.value(), " comes too early"));
  }
  PushDone done{.result = {PushOutcome::kDuplicate, newest},
                .generation = generation_};
  BlockAggregator::Result sum{.outcome = BlockAggregator::Outcome::kDuplicate};
  if (contribution.step == newest) {
    TESSERA_ASSIGN_OR_RETURN(sum, aggregator_.Add(contribution.range, payload,
                                                  contribution.loss_sum));
  }
  switch (sum.outcome) {
    case BlockAggregator::Outcome::kDuplicate:
      TESSERA_RETURN_IF_ERROR(CheckRepeat(contribution, payload, digest));
      return done;
    case BlockAggregator::Outcome::kNotFinite:
      return NotFinite(contribution, payload);
    case BlockAggregator::Outcome::kAdded:
      done.result.outcome = PushOutcome::kAdded;
      counted_.Add({contribution.range, contribution.worker, digest});
      // Its sender held this version of every block of every shard, so nobody
      // needs to start again from the one before.
      state_.ReleasePrevious();
      return done;
    case BlockAggregator::Outcome::kCompletes:
      break;
  }
  TESSERA_ASSIGN_OR_RETURN(const bool is_finite, Complete(sum, done));
  if (!is_finite) return NotFinite(contribution, payload);
  counted_.Add({contribution.range, contribution.worker, digest});
  counted_.StartNextStep();
  return done;
}

absl::Status Block::CheckRepeat(const Contribution& contribution,
                                const FragmentedBytes& payload,
                                uint32_t digest) const {
  // Nobody looked at the values; what is wrong is to be said all the same.
  TESSERA_RETURN_IF_ERROR(CheckValues(contribution, payload));
  const int64_t newest = state_.newest().version;
  const CountedRanges::Push* const counted =
      contribution.step == newest ? counted_.Find(contribution.range)
      : contribution.step + 1 == newest
          ? counted_.FindPrevious(contribution.range)
          : nullptr;
  if (counted == nullptr || counted->digest == digest) return absl::OkStatus();
  return absl::AlreadyExistsError(absl::StrCat(
      "push of worker ", contribution.worker.value(), " for block ", index_,
      ", microbatches ", ToString(contribution.range), " of step ",
      contribution.step, ": those of worker ", counted->worker.value(),
      " were counted, with other bytes; do all workers compute alike?"));
}

absl::StatusOr<bool> Block::Complete(const BlockAggregator::Result& sum,
                                     PushDone& done) {
  TESSERA_ASSIGN_OR_RETURN(const bool is_finite, state_.Advance(sum.total));
  if (!is_finite) return false;
  aggregator_.Clear();
  done.result = {PushOutcome::kCompleted, state_.newest().version};
  done.loss_sum = sum.total_loss;
  done.answers = EndWaits(Share(state_.newest()));
  if (capture_.capture != 0 && capture_.version == done.result.newest_version) {
    done.captured = {capture_.capture, state_.Snapshot()};
    capture_ = {};
  }
  return true;
}

BlockVersion Block::Share(const VersionedValues& values) const {
  return {.block = index_,
          .version = values.version,
          .values = values.values(),
          .payload = values.payload(),
          .owner = values.buffers};
}

absl::StatusOr<BlockVersion> Block::Find(int64_t version) const {
  const VersionedValues& newest = state_.newest();
  const VersionedValues& previous = state_.previous();
  if (version == ShardStore::kNewest || version == newest.version) {
    return Share(newest);
  }
  if (version < 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "version ", version, " of block ", index_,
        " was asked for; a version is at least 0, or -1 for the newest"));
  }
  if (previous.buffers != nullptr && version == previous.version) {
    return Share(previous);
  }
  return absl::OutOfRangeError(absl::StrCat(
      "version ", version, " of block ", index_,
      version < newest.version ? " is no longer held" : " cannot come next",
      ": the newest is ", newest.version));
}

std::optional<PullAnswer> Block::Pull(int64_t version, uint64_t ticket,
                                      PullCallback done, int64_t generation) {
  MutexLock lock(&mutex_);
  if (absl::Status status = CheckServing(generation); !status.ok()) {
    return PullAnswer{std::move(done), std::move(status)};
  }
  if (version == state_.newest().version + 1) {
    waits_.push_back({ticket, std::move(done), generation});
    return std::nullopt;
  }
  return PullAnswer{std::move(done), Find(version)};
}

std::optional<PullAnswer> Block::Cancel(uint64_t ticket) {
  MutexLock lock(&mutex_);
  const auto wait =
      std::find_if(waits_.begin(), waits_.end(),
                   [ticket](const Wait& w) { return w.ticket == ticket; });
  if (wait == waits_.end()) return std::nullopt;
  PullAnswer answer{std::move(wait->done),
                    absl::CancelledError(absl::StrCat(
                        "the pull of block ", index_, " was cancelled"))};
  waits_.erase(wait);
  return answer;
}

std::vector<PullAnswer> Block::EndWaits(
    const absl::StatusOr<BlockVersion>& result) {
  std::vector<PullAnswer> answers;
  for (Wait& wait : waits_) answers.push_back({std::move(wait.done), result});
  waits_.clear();
  return answers;
}

int64_t Block::newest_version() const {
  MutexLock lock(&mutex_);
  return state_.newest().version;
}

absl::Status Block::AddToDigest(Stream& stream, Sha256& digest) const {
  MutexLock lock(&mutex_);
  if (!state_.has_values()) {
    AddNumber(-1, digest);
    return absl::OkStatus();
  }
  const BlockSnapshot newest = state_.Snapshot();
  AddNumber(newest.parameters.version, digest);
  AddNumber(state_.previous().buffers == nullptr ? 0 : 1, digest);
  TESSERA_RETURN_IF_ERROR(
      AddBuffer(newest.parameters.buffers->values, stream, digest));
  for (const BufferRef& slot : newest.slots) {
    TESSERA_RETURN_IF_ERROR(AddBuffer(slot, stream, digest));
  }
  for (const PartialSum& sum : aggregator_.held()) {
    AddNumber(sum.range.begin, digest);
    AddNumber(sum.range.end, digest);
    AddNumber(std::bit_cast<int64_t>(sum.loss_sum), digest);
    TESSERA_RETURN_IF_ERROR(AddBuffer(sum.values, stream, digest));
  }
  return absl::OkStatus();
}

}  // namespace tessera
