// Which microbatches a shard store has counted, kept apart from it.

#ifndef TESSERA_TESTS_SIMULATION_RECOVERY_PUSH_LEDGER_H_
#define TESSERA_TESTS_SIMULATION_RECOVERY_PUSH_LEDGER_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "server/shard/shard_store.h"

namespace tessera {

// Of one store. Not thread-safe.
class PushLedger {
 public:
  explicit PushLedger(int microbatches) : microbatches_(microbatches) {}

  // Every block is at `version`, and nothing is counted of its step.
  void Restart(int64_t version);

  // Takes what the store said to a push. Returns which rule it broke, or "":
  // each microbatch of each step of each block is counted once, and the step is
  // complete when all are, and not before.
  std::string Add(const Contribution& contribution, const PushResult& result);

  // Compares the store's counters with what was added. "" when they agree.
  std::string DifferenceOf(const ShardStats& stats) const;

 private:
  struct Block {
    int64_t version = 0;
    std::set<int> counted;  // Microbatches of step `version`.
  };

  PushOutcome Expected(Block& block, const Contribution& contribution) const;

  const int microbatches_;
  int64_t start_version_ = 0;
  std::map<int, Block> blocks_;
  int64_t pushes_ = 0;
  int64_t duplicates_ = 0;
};

}  // namespace tessera

#endif  // TESSERA_TESTS_SIMULATION_RECOVERY_PUSH_LEDGER_H_
