#include "server/shard/block.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace tessera {
namespace {

absl::Status Stopping() {
  return absl::UnavailableError("the server is stopping");
}

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

absl::Status Block::CheckServing() const {
  return stopped_ ? Stopping() : absl::OkStatus();
}

absl::StatusOr<Block::PushDone> Block::Push(const Contribution& contribution,
                                            const FragmentedBytes& payload) {
  MutexLock lock(&mutex_);
  TESSERA_RETURN_IF_ERROR(CheckServing());
  const int64_t newest = state_.newest().version;
  if (contribution.step > newest) {
    return absl::OutOfRangeError(
        absl::StrCat("block ", index_, " is at version ", newest,
                     ": a gradient for step ", contribution.step, " of worker ",
                     contribution.worker.value(), " comes too early"));
  }
  PushDone done{.result = {PushOutcome::kDuplicate, newest}};
  if (contribution.step < newest) return done;
  TESSERA_ASSIGN_OR_RETURN(
      const BlockAggregator::Result sum,
      aggregator_.Add(contribution.range, payload, contribution.loss_sum));
  if (sum.outcome == BlockAggregator::Outcome::kDuplicate) return done;
  if (sum.outcome == BlockAggregator::Outcome::kCompletes) {
    TESSERA_RETURN_IF_ERROR(Complete(sum, done));
  } else {
    done.result.outcome = PushOutcome::kAdded;
    // Its sender held this version of every block of every shard, so nobody
    // needs to start again from the one before.
    state_.ReleasePrevious();
  }
  return done;
}

absl::Status Block::Complete(const BlockAggregator::Result& sum,
                             PushDone& done) {
  TESSERA_RETURN_IF_ERROR(state_.Advance(sum.total));
  aggregator_.Clear();
  done.result = {PushOutcome::kCompleted, state_.newest().version};
  done.loss_sum = sum.total_loss;
  done.answers = EndWaits(Share(state_.newest()));
  return absl::OkStatus();
}

BlockVersion Block::Share(const VersionedValues& values) const {
  return {.block = index_,
          .version = values.version,
          .values = values.span(),
          .owner = values.values};
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
  if (previous.values != nullptr && version == previous.version) {
    return Share(previous);
  }
  return absl::OutOfRangeError(absl::StrCat(
      "version ", version, " of block ", index_,
      version < newest.version ? " is no longer held" : " cannot come next",
      ": the newest is ", newest.version));
}

std::optional<PullAnswer> Block::Pull(int64_t version, uint64_t ticket,
                                      PullCallback done) {
  MutexLock lock(&mutex_);
  if (stopped_) return PullAnswer{std::move(done), Stopping()};
  if (version == state_.newest().version + 1) {
    waits_.push_back({ticket, std::move(done)});
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

std::vector<PullAnswer> Block::Shutdown() {
  MutexLock lock(&mutex_);
  stopped_ = true;
  return EndWaits(Stopping());
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
  const BlockSnapshot newest = state_.Snapshot();
  AddNumber(newest.parameters.version, digest);
  AddNumber(state_.previous().values == nullptr ? 0 : 1, digest);
  TESSERA_RETURN_IF_ERROR(AddBuffer(*newest.parameters.values, stream, digest));
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
