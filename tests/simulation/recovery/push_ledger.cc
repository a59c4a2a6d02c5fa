#include "tests/simulation/recovery/push_ledger.h"

#include "absl/strings/str_cat.h"

namespace tessera {

void PushLedger::Restart(int64_t version) {
  blocks_.clear();
  start_version_ = version;
}

PushOutcome PushLedger::Expected(Block& block,
                                 const Contribution& contribution) const {
  if (contribution.step < block.version) return PushOutcome::kDuplicate;
  const size_t before = block.counted.size();
  for (int i = contribution.range.begin; i < contribution.range.end; ++i) {
    block.counted.insert(i);
  }
  if (block.counted.size() == before) return PushOutcome::kDuplicate;
  if (static_cast<int>(block.counted.size()) < microbatches_) {
    return PushOutcome::kAdded;
  }
  block.counted.clear();
  ++block.version;
  return PushOutcome::kCompleted;
}

std::string PushLedger::Add(const Contribution& contribution,
                            const PushResult& result) {
  Block& block =
      blocks_.try_emplace(contribution.block, Block{.version = start_version_})
          .first->second;
  if (contribution.step > block.version) {
    return absl::StrCat("a push for step ", contribution.step, " of block ",
                        contribution.block, " was taken at version ",
                        block.version);
  }
  const PushOutcome expected = Expected(block, contribution);
  ++pushes_;
  duplicates_ += expected == PushOutcome::kDuplicate ? 1 : 0;
  if (result.outcome == expected && result.newest_version == block.version) {
    return "";
  }
  return absl::StrCat("a push of ", ToString(contribution.range), " for step ",
                      contribution.step, " of block ", contribution.block,
                      " came to outcome ", static_cast<int>(result.outcome),
                      " and version ", result.newest_version, ", not ",
                      static_cast<int>(expected), " and ", block.version);
}

std::string PushLedger::DifferenceOf(const ShardStats& stats) const {
  int64_t pushes = 0;
  int64_t duplicates = 0;
  for (const WorkerTraffic& traffic : stats.traffic) {
    pushes += traffic.pushes;
    duplicates += traffic.duplicates;
  }
  if (pushes == pushes_ && duplicates == duplicates_) return "";
  return absl::StrCat("the store counts ", pushes, " pushes and ", duplicates,
                      " duplicates, not ", pushes_, " and ", duplicates_);
}

}  // namespace tessera
