// Philox's arithmetic, for kernels on any device; see philox.h for what it is.

#ifndef TESSERA_COMMON_BASE_PHILOX_ROUNDS_H_
#define TESSERA_COMMON_BASE_PHILOX_ROUNDS_H_

#include <cstdint>

#if defined(__CUDACC__)
#define TESSERA_PHILOX_INLINE __host__ __device__ inline
#else
#define TESSERA_PHILOX_INLINE inline
#endif

namespace tessera {

// 128 bits, least significant word first.
struct PhiloxBlock {
  uint32_t words[4];
};

// Philox4x32-10 of `c` under the key.
TESSERA_PHILOX_INLINE PhiloxBlock PhiloxRounds(PhiloxBlock c, uint32_t key0,
                                               uint32_t key1) {
  constexpr uint32_t kMultiplier0 = 0xD2511F53;
  constexpr uint32_t kMultiplier1 = 0xCD9E8D57;
  constexpr uint32_t kWeyl0 = 0x9E3779B9;
  constexpr uint32_t kWeyl1 = 0xBB67AE85;
  constexpr int kRounds = 10;
  for (int round = 0; round < kRounds; ++round) {
    const uint64_t product0 = uint64_t{kMultiplier0} * c.words[0];
    const uint64_t product1 = uint64_t{kMultiplier1} * c.words[2];
    c = {{static_cast<uint32_t>(product1 >> 32) ^ c.words[1] ^ key0,
          static_cast<uint32_t>(product1),
          static_cast<uint32_t>(product0 >> 32) ^ c.words[3] ^ key1,
          static_cast<uint32_t>(product0)}};
    key0 += kWeyl0;
    key1 += kWeyl1;
  }
  return c;
}

}  // namespace tessera

#endif  // TESSERA_COMMON_BASE_PHILOX_ROUNDS_H_
