#include "worker/train/block_board.h"

#include <algorithm>
#include <utility>

#include "common/base/check.h"

namespace tessera {

BlockBoard::BlockBoard(const ShardPlan& plan, Device* device) : plan_(plan) {
  const auto elements = static_cast<size_t>(plan.elements());
  const bool pins = device != nullptr && device->kind() != DeviceKind::kCpu;
  for (size_t i = 0; i < values_.size(); ++i) {
    if (pins) {
      auto memory =
          device->Allocate(MemoryKind::kHost, elements * sizeof(float));
      if (memory.ok()) pinned_[i] = *std::move(memory);
    }
    if (pinned_[i].data() == nullptr) {
      ordinary_[i].resize(elements);
      values_[i] = absl::MakeSpan(ordinary_[i]);
    } else {
      values_[i] = {static_cast<float*>(pinned_[i].data()), elements};
    }
  }
  MutexLock lock(&mutex_);
  for (Slot& slot : slots_) {
    slot.held.assign(static_cast<size_t>(plan.block_count()), kNone);
    slot.fetching = slot.held;
  }
}

absl::Span<float> BlockBoard::Values(int64_t version) {
  return values_[static_cast<size_t>(version % 2)];
}

absl::Span<float> BlockBoard::BlockValues(int block, int64_t version) {
  const Interval elements = plan_.BlockElements(block);
  return Values(version).subspan(static_cast<size_t>(elements.begin),
                                 static_cast<size_t>(elements.size()));
}

void BlockBoard::StartPass(int64_t version) {
  MutexLock lock(&mutex_);
  pass_version_ = version;
  if (absl::IsAborted(failure_) || absl::IsOutOfRange(failure_)) {
    failure_ = absl::OkStatus();
  }
}

absl::StatusOr<bool> BlockBoard::Begin(int block, int64_t version) {
  MutexLock lock(&mutex_);
  Slot& slot = slots_[version % 2];
  if (slot.held[block] == version || slot.fetching[block] == version) {
    return false;
  }
  const auto free = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return slot.fetching[block] == kNone || !failure().ok();
  };
  mutex_.Await(free);
  if (!failure().ok()) return failure();
  slot.held[block] = kNone;
  slot.fetching[block] = version;
  return true;
}

void BlockBoard::Arrived(int block, int64_t version) {
  MutexLock lock(&mutex_);
  Slot& slot = slots_[version % 2];
  TESSERA_CHECK(slot.fetching[block] == version);
  slot.fetching[block] = kNone;
  slot.held[block] = version;
}

void BlockBoard::Failed(int block, int64_t version, const absl::Status& why) {
  MutexLock lock(&mutex_);
  slots_[version % 2].fetching[block] = kNone;
  if (version < pass_version_ && absl::IsOutOfRange(why)) return;
  failure_.Update(why);
}

void BlockBoard::Interrupt(const absl::Status& why) {
  MutexLock lock(&mutex_);
  failure_.Update(why);
}

void BlockBoard::Stop(const absl::Status& why) {
  MutexLock lock(&mutex_);
  stopped_.Update(why);
}

bool BlockBoard::Holds(int first_block, int last_block, int64_t version) const {
  const std::vector<int64_t>& held = slots_[version % 2].held;
  return std::all_of(held.begin() + first_block, held.begin() + last_block + 1,
                     [&](int64_t v) { return v == version; });
}

absl::Status BlockBoard::WaitFor(const Interval& elements, int64_t version) {
  const int first = plan_.BlockOfElement(elements.begin);
  const int last = plan_.BlockOfElement(elements.end - 1);
  MutexLock lock(&mutex_);
  const auto ready = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return !failure().ok() || Holds(first, last, version);
  };
  mutex_.Await(ready);
  return failure();
}

int64_t BlockBoard::CompleteVersion() const {
  MutexLock lock(&mutex_);
  int64_t newest = kNone;
  for (const Slot& slot : slots_) {
    const int64_t version = slot.held.front();
    if (version > newest && Holds(0, plan_.block_count() - 1, version)) {
      newest = version;
    }
  }
  return newest;
}

void BlockBoard::Reset() {
  MutexLock lock(&mutex_);
  failure_ = absl::OkStatus();
  for (Slot& slot : slots_) {
    std::fill(slot.fetching.begin(), slot.fetching.end(), kNone);
  }
}

void BlockBoard::Forget() {
  Reset();
  MutexLock lock(&mutex_);
  for (Slot& slot : slots_) {
    std::fill(slot.held.begin(), slot.held.end(), kNone);
  }
}

}  // namespace tessera
