// Whom a block serves, and from which state.

#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/status_macros.h"
#include "server/shard/block.h"

namespace tessera {
namespace {

absl::Status Stopping() {
  return absl::UnavailableError("the server is stopping");
}

}  // namespace

absl::Status Block::CheckServing(int64_t generation) const {
  if (stopped_) return Stopping();
  if (suspended_) return NotServed();
  if (generation == 0 || generation == generation_) return absl::OkStatus();
  if (generation < generation_) {
    return absl::AbortedError(absl::StrCat(
        "block ", index_, ": generation ", generation,
        " is over, the servers are in generation ", generation_,
        ": they had to start from an earlier version; ask the coordinator for "
        "work"));
  }
  return absl::UnavailableError(
      absl::StrCat("block ", index_, ": this server is still in generation ",
                   generation_, ", not yet in generation ", generation));
}

absl::Status Block::NotServed() const {
  return absl::UnavailableError(absl::StrCat(
      "block ", index_,
      ": the shard is not served while it waits for the "
      "coordinator to say from which version to start, or is loading that"));
}

std::vector<PullAnswer> Block::Shutdown() {
  MutexLock lock(&mutex_);
  stopped_ = true;
  return EndWaits(Stopping());
}

std::vector<PullAnswer> Block::Suspend() {
  MutexLock lock(&mutex_);
  suspended_ = true;
  capture_ = {};
  std::vector<PullAnswer> answers;
  for (Wait& wait : waits_) {
    answers.push_back({std::move(wait.done), NotServed()});
    if (wait.generation == 0) continue;
    answers.back().result = absl::AbortedError(absl::StrCat(
        "block ", index_, ": the wait in generation ", wait.generation,
        " is over, the servers start anew; ask the coordinator for work"));
  }
  waits_.clear();
  return answers;
}

bool Block::Clear(bool keep_initial) {
  MutexLock lock(&mutex_);
  TESSERA_CHECK(suspended_);
  aggregator_.Clear();
  counted_.Clear();
  if (keep_initial && began_initial_ && state_.newest().version == 0 &&
      state_.has_values()) {
    return true;
  }
  state_.LetGo();
  return false;
}

void Block::Install(BlockState state, bool is_initial) {
  MutexLock lock(&mutex_);
  TESSERA_CHECK(suspended_);
  state_ = std::move(state);
  began_initial_ = is_initial;
}

void Block::Resume(int64_t generation) {
  MutexLock lock(&mutex_);
  TESSERA_CHECK(state_.has_values());
  generation_ = generation;
  suspended_ = false;
}

absl::StatusOr<std::optional<BlockSnapshot>> Block::Capture(uint64_t capture,
                                                            int64_t generation,
                                                            int64_t version) {
  MutexLock lock(&mutex_);
  // Also 0, which is not checked elsewhere, must be the generation.
  if (generation != generation_ && !stopped_ && !suspended_) {
    return absl::AbortedError(
        absl::StrCat("capture in generation ", generation, ": block ", index_,
                     " is served in generation ", generation_));
  }
  TESSERA_RETURN_IF_ERROR(CheckServing(generation_));
  const int64_t newest = state_.newest().version;
  if (newest > version) {
    return absl::OutOfRangeError(
        absl::StrCat("capture of version ", version, ": block ", index_,
                     " is at version ", newest, " already"));
  }
  if (newest == version) return state_.Snapshot();
  if (capture_.capture < capture) capture_ = {capture, version};
  return std::nullopt;
}

}  // namespace tessera
