// Loops over a GradientSum's elements that read every term once, side by side,
// and keep the sum in a register. (A pass for each term, even over tiles that
// stay in a cache, reaches two thirds of the speed: memory streams that start
// and stop defeat the processor's prefetching.) Pure functions, so thread-safe.

#ifndef TESSERA_SERVER_SHARD_CPU_SUM_RUN_H_
#define TESSERA_SERVER_SHARD_CPU_SUM_RUN_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "common/base/vectorize.h"
#include "common/tensor/fragments.h"
#include "server/shard/block_math.h"

namespace tessera {

// Terms of a sum over elements whose payload lies together.
struct SumRun {
  static constexpr size_t kMaxHeld = 4;

  const uint8_t* payload = nullptr;  // Without alignment.
  const float* held[kMaxHeld] = {};
  size_t held_count = 0;
};

// The sum at an element, for a number of held terms that the compiler knows.
template <size_t kHeld>
class ElementSum {
 public:
  TESSERA_INLINE_LOOP explicit ElementSum(const SumRun& run) : run_(run) {}

  TESSERA_INLINE_LOOP float operator()(size_t i) const {
    float sum;
    std::memcpy(&sum, run_.payload + i * sizeof(sum), sizeof(sum));
    for (size_t k = 0; k < kHeld; ++k) sum = sum + run_.held[k][i];
    return sum;
  }

 private:
  const SumRun run_;
};

// Calls loop(ElementSum<run.held_count>): the choice is made once, above the
// loop. For functions with TESSERA_VECTOR_CLONES; `loop` must be a lambda with
// TESSERA_INLINE_LOOP.
template <typename Loop>
TESSERA_INLINE_LOOP inline void WithElementSum(const SumRun& run, Loop loop) {
  switch (run.held_count) {
    case 0:
      return loop(ElementSum<0>(run));
    case 1:
      return loop(ElementSum<1>(run));
    case 2:
      return loop(ElementSum<2>(run));
    case 3:
      return loop(ElementSum<3>(run));
    default:
      return loop(ElementSum<4>(run));
  }
}

// out[i] = the sum at element i. `out` may be run.held[0].
void FoldRun(const SumRun& run, size_t count, float* out);

namespace internal {

// Calls visit(run, first, count) for the elements [first, first + count) of
// `sum`, whose payload is at `payload`, with the terms from `skip` on.
template <typename Visit>
void VisitRun(const GradientSum& sum, size_t skip, const uint8_t* payload,
              size_t first, size_t count, Visit&& visit) {
  SumRun run{.payload = payload};
  for (size_t k = skip; k < sum.held.size(); ++k) {
    run.held[run.held_count++] = sum.held[k] + first;
  }
  visit(static_cast<const SumRun&>(run), first, count);
}

// As VisitRun, with more terms than a run takes: the first ones are added up
// beforehand, a tile at a time.
template <typename Visit>
void VisitLongSum(const GradientSum& sum, const uint8_t* payload, size_t first,
                  size_t count, Visit&& visit) {
  constexpr size_t kTile = 2048;
  alignas(64) float tile[kTile];
  const size_t last = sum.held.size() - SumRun::kMaxHeld;
  for (size_t done = 0; done < count; done += kTile) {
    const size_t n = std::min(kTile, count - done);
    const size_t at = first + done;
    std::memcpy(tile, payload + done * sizeof(float), n * sizeof(float));
    for (size_t k = 0; k < last; ++k) {
      SumRun run{.payload = reinterpret_cast<const uint8_t*>(tile)};
      run.held[run.held_count++] = sum.held[k] + at;
      FoldRun(run, n, tile);
    }
    VisitRun(sum, last, reinterpret_cast<const uint8_t*>(tile), at, n, visit);
  }
}

}  // namespace internal

// Cuts the sum into runs and calls visit(const SumRun&, first, count) for each,
// in order: `count` elements from number `first` on.
template <typename Visit>
void ForEachSumRun(const GradientSum& sum, Visit&& visit) {
  ForEachFloatRun(sum.payload,
                  [&](const uint8_t* payload, size_t first, size_t count) {
                    if (sum.held.size() <= SumRun::kMaxHeld) {
                      internal::VisitRun(sum, 0, payload, first, count, visit);
                    } else {
                      internal::VisitLongSum(sum, payload, first, count, visit);
                    }
                  });
}

}  // namespace tessera

#endif  // TESSERA_SERVER_SHARD_CPU_SUM_RUN_H_
