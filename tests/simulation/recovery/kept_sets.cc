#include "tests/simulation/recovery/kept_sets.h"

#include <algorithm>

namespace tessera {
namespace {

bool IsSame(const SetName& a, const SetName& b) {
  return a.version == b.version && a.set_id == b.set_id;
}

}  // namespace

void KeptSets::Acknowledge(const SetName& set) {
  std::erase_if(sets_, [&](const SetName& kept) {
    // What is beyond the new one stays.
    if (kept.version > set.version) return false;
    const auto others =
        std::count_if(tried_.begin(), tried_.end(), [&](const SetName& other) {
          return !IsSame(other, kept) && other.version >= kept.version &&
                 other.version <= set.version;
        });
    return others >= keep_;
  });
  sets_.push_back(set);
}

void KeptSets::Damage(const SetName& set) {
  std::erase_if(sets_, [&](const SetName& kept) { return IsSame(kept, set); });
}

bool KeptSets::MayBe(uint64_t set_id) const {
  return std::any_of(
      tried_.begin(), tried_.end(),
      [set_id](const SetName& set) { return set.set_id.value() == set_id; });
}

}  // namespace tessera
