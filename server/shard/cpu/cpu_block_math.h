// BlockMath on the CPU, and the pieces of it that optimizers use as well.
// Pure functions, so thread-safe.

#ifndef TESSERA_SERVER_SHARD_CPU_CPU_BLOCK_MATH_H_
#define TESSERA_SERVER_SHARD_CPU_CPU_BLOCK_MATH_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "server/shard/block_math.h"

namespace tessera {

std::unique_ptr<BlockMath> MakeCpuBlockMath();

// out[i] = payload[i] + held[i]. `payload` has no alignment; `out` may be
// `held`.
void CpuAddPayload(const uint8_t* payload, const float* held, float* out,
                   size_t count);

// sum[i] = sum[i] + held[i].
void CpuAddInto(const float* held, float* sum, size_t count);

// Computes `count` values of the sum from value `first` on, whose payload lies
// at `payload`, into `out`, which may be those very values of sum.held[0].
void CpuFoldRun(const GradientSum& sum, const uint8_t* payload, size_t first,
                size_t count, float* out);

// Computes the sum in tiles that stay in the first-level cache, and calls
//   visit(const float* values, size_t first, size_t count)
// for each: so a consumer works on sums that never go out to memory.
template <typename Visit>
void CpuForEachSumTile(const GradientSum& sum, Visit&& visit) {
  constexpr size_t kTileFloats = 2048;
  alignas(64) float tile[kTileFloats];
  ForEachFloatRun(sum.payload, [&](const uint8_t* payload, size_t first,
                                   size_t count) {
    for (size_t done = 0; done < count; done += kTileFloats) {
      const size_t n = std::min(kTileFloats, count - done);
      CpuFoldRun(sum, payload + done * sizeof(float), first + done, n, tile);
      visit(static_cast<const float*>(tile), first + done, n);
    }
  });
}

}  // namespace tessera

#endif  // TESSERA_SERVER_SHARD_CPU_CPU_BLOCK_MATH_H_
