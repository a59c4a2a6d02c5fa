// Which gradients a block has counted, so that another one under the same key
// is noticed.

#ifndef TESSERA_SERVER_SHARD_COUNTED_RANGES_H_
#define TESSERA_SERVER_SHARD_COUNTED_RANGES_H_

#include <cstdint>
#include <vector>

#include "common/base/strong_id.h"
#include "common/plan/reduction_tree.h"
#include "common/tensor/fragments.h"

namespace tessera {

// A gradient that was counted: its range, its bytes' CRC32C, its sender.
struct CountedRange {
  MicrobatchRange range;
  uint32_t crc = 0;
  WorkerId worker;
};

uint32_t PayloadCrc(const FragmentedBytes& payload);

// Of the step at hand and of the one before. Not thread-safe.
class CountedRanges {
 public:
  void Add(const CountedRange& counted) { current_.push_back(counted); }

  // The one of this very range, or null: what was counted as part of a larger
  // range cannot be compared. `steps_ago` is 0 or 1.
  const CountedRange* Find(int steps_ago, const MicrobatchRange& range) const;

  // The step at hand is complete.
  void NextStep();
  void Clear();

 private:
  std::vector<CountedRange> current_;
  std::vector<CountedRange> previous_;
};

}  // namespace tessera

#endif  // TESSERA_SERVER_SHARD_COUNTED_RANGES_H_
