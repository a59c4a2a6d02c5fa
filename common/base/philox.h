// A counter-based random generator: the i-th number of a stream is a pure
// function of (seed, stream, i), so it does not matter who draws it or when.

#ifndef TESSERA_COMMON_BASE_PHILOX_H_
#define TESSERA_COMMON_BASE_PHILOX_H_

#include <array>
#include <cstdint>

namespace tessera {

// Philox4x32-10 of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as
// easy as 1, 2, 3", SC 2011. Maps a 128-bit counter under a 64-bit key to 128
// bits that pass BigCrush. Both arrays are least significant word first.
std::array<uint32_t, 4> Philox4x32(std::array<uint32_t, 4> counter,
                                   std::array<uint32_t, 2> key);

// Independent streams under one seed. The numbers are part of what a job means:
// they never change and are never used again for something else.
enum class RandomStream : uint32_t {
  kParameters = 1,
  kSampling = 2,
  kDropout = 3,
  kGeneratedData = 4,
};

// Random numbers of one stream, by position. Immutable, so thread-safe; cheap
// to copy.
class Philox {
 public:
  // `substream` tells apart uses of one stream: a layer, an epoch.
  Philox(uint64_t seed, RandomStream stream, uint32_t substream = 0)
      : key_{static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)},
        stream_(static_cast<uint32_t>(stream)),
        substream_(substream) {}

  // Four independent uniform words for position `index`.
  std::array<uint32_t, 4> Words(uint64_t index) const {
    return Philox4x32({static_cast<uint32_t>(index),
                       static_cast<uint32_t>(index >> 32), substream_, stream_},
                      key_);
  }

  // Uniform in [0, 1), a multiple of 2^-24.
  float Uniform(uint64_t index) const;

  // Standard normal, by the Box-Muller transform. Computed in double precision
  // and rounded once, so it depends on libm only in its last bit before that.
  float Normal(uint64_t index) const;

  // Uniform in [0, bound), without bias worth speaking of: 64 random bits are
  // scaled (Lemire, "Fast random integer generation in an interval", 2019,
  // without its rejection step). `bound` is above 0.
  uint64_t Below(uint64_t index, uint64_t bound) const;

 private:
  std::array<uint32_t, 2> key_;
  uint32_t stream_;
  uint32_t substream_;
};

}  // namespace tessera

#endif  // TESSERA_COMMON_BASE_PHILOX_H_
