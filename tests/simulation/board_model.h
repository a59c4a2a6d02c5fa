// Which versions of which blocks a simulated worker holds: the rules of
// worker/train/block_board.h, without its waiting.

#ifndef TESSERA_TESTS_SIMULATION_BOARD_MODEL_H_
#define TESSERA_TESTS_SIMULATION_BOARD_MODEL_H_

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

namespace tessera {

// Version v lives in slot v % 2. Not thread-safe.
class BoardModel {
 public:
  static constexpr int64_t kNone = -1;
  enum class Begun { kFetch, kNotNeeded, kBusy };

  explicit BoardModel(int blocks)
      : slots_{std::vector<Place>(static_cast<size_t>(blocks)),
               std::vector<Place>(static_cast<size_t>(blocks))} {}

  // kBusy: another version is on its way into the same slot; try again later.
  Begun Begin(int block, int64_t version) {
    Place& place = At(block, version);
    if (place.held == version || place.fetching == version) {
      return Begun::kNotNeeded;
    }
    if (place.fetching != kNone) return Begun::kBusy;
    place.held = kNone;
    place.fetching = version;
    return Begun::kFetch;
  }

  void Arrived(int block, int64_t version, uint64_t content) {
    At(block, version) = {.held = version, .content = content};
  }

  void Failed(int block, int64_t version) {
    At(block, version).fetching = kNone;
  }

  // Nothing is on its way any more.
  void Reset() {
    for (auto& slot : slots_) {
      for (Place& place : slot) place.fetching = kNone;
    }
  }

  bool Complete(int64_t version) const {
    const auto& slot = slots_[static_cast<size_t>(version % 2)];
    return std::all_of(slot.begin(), slot.end(),
                       [version](const Place& p) { return p.held == version; });
  }

  int64_t CompleteVersion() const {
    int64_t newest = kNone;
    for (const auto& slot : slots_) {
      const int64_t version = slot.front().held;
      if (version > newest && Complete(version)) newest = version;
    }
    return newest;
  }

  uint64_t Content(int block, int64_t version) const {
    return slots_[static_cast<size_t>(version % 2)][static_cast<size_t>(block)]
        .content;
  }

 private:
  struct Place {
    int64_t held = kNone;
    int64_t fetching = kNone;
    uint64_t content = 0;
  };

  Place& At(int block, int64_t version) {
    return slots_[static_cast<size_t>(version % 2)][static_cast<size_t>(block)];
  }

  std::array<std::vector<Place>, 2> slots_;
};

}  // namespace tessera

#endif  // TESSERA_TESTS_SIMULATION_BOARD_MODEL_H_
