#include "server/shard/counted_ranges.h"

#include <algorithm>

#include "absl/strings/string_view.h"
#include "common/storage/crc32c.h"

namespace tessera {

uint32_t PayloadCrc(const FragmentedBytes& payload) {
  uint32_t crc = 0;
  for (const FragmentedBytes::Piece& piece : payload.pieces()) {
    crc = ExtendCrc32c(
        crc, {reinterpret_cast<const char*>(piece.data()), piece.size()});
  }
  return crc;
}

const CountedRange* CountedRanges::Find(int steps_ago,
                                        const MicrobatchRange& range) const {
  const std::vector<CountedRange>& step = steps_ago == 0 ? current_ : previous_;
  const auto found = std::find_if(
      step.begin(), step.end(),
      [&range](const CountedRange& c) { return c.range == range; });
  return found == step.end() ? nullptr : &*found;
}

void CountedRanges::NextStep() {
  previous_.swap(current_);
  current_.clear();
}

void CountedRanges::Clear() {
  current_.clear();
  previous_.clear();
}

}  // namespace tessera
