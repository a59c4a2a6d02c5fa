// With which bytes each range of a block was counted, so that a repeat can be
// told from a contradiction.

#ifndef TESSERA_SERVER_SHARD_COUNTED_RANGES_H_
#define TESSERA_SERVER_SHARD_COUNTED_RANGES_H_

#include <cstdint>
#include <utility>
#include <vector>

#include "common/base/strong_id.h"
#include "common/plan/reduction_tree.h"
#include "common/storage/crc32c.h"
#include "common/tensor/fragments.h"

namespace tessera {

// The same for the same bytes, wherever they are cut.
inline uint32_t DigestOf(const FragmentedBytes& payload) {
  uint32_t digest = 0;
  for (const FragmentedBytes::Piece& piece : payload.pieces()) {
    digest = ExtendCrc32c(
        digest, {reinterpret_cast<const char*>(piece.data()), piece.size()});
  }
  return digest;
}

// Of the step at hand and the one before: later than that, nobody repeats a
// call. Knows ranges as they were pushed, not those that they were added up to;
// there are fewer than two for each microbatch. Not thread-safe.
class CountedRanges {
 public:
  struct Push {
    MicrobatchRange range;
    WorkerId worker;
    uint32_t digest = 0;
  };

  // Of the step at hand.
  void Add(const Push& push) { pushes_.push_back(push); }

  void StartNextStep() {
    std::swap(pushes_, previous_);
    pushes_.clear();
  }

  void Clear() {
    pushes_.clear();
    previous_.clear();
  }

  // Null when that very range was not pushed; good until the next change.
  // Repeats are rare, so it looks at all.
  const Push* Find(const MicrobatchRange& range) const {
    return FindIn(pushes_, range);
  }
  // In the step before.
  const Push* FindPrevious(const MicrobatchRange& range) const {
    return FindIn(previous_, range);
  }

 private:
  static const Push* FindIn(const std::vector<Push>& pushes,
                            const MicrobatchRange& range) {
    for (const Push& push : pushes) {
      if (push.range == range) return &push;
    }
    return nullptr;
  }

  std::vector<Push> pushes_;
  std::vector<Push> previous_;
};

}  // namespace tessera

#endif  // TESSERA_SERVER_SHARD_COUNTED_RANGES_H_
