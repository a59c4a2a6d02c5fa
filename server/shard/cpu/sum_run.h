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
#include <utility>

#include "common/base/vectorize.h"
#include "common/tensor/bfloat16.h"
#include "common/tensor/fragments.h"
#include "server/shard/block_math.h"
#include "server/shard/cpu/finite_check.h"

namespace tessera {

// Terms of a sum over elements whose payload lies together.
struct SumRun {
  static constexpr size_t kMaxHeld = 4;

  const uint8_t* payload = nullptr;  // Without alignment.
  v1::Encoding encoding = v1::ENCODING_FLOAT32;
  const float* held[kMaxHeld] = {};
  size_t held_count = 0;
};

// How to read value number `i` of a payload, one class for each encoding.
struct Float32Payload {
  TESSERA_INLINE_LOOP static float Load(const uint8_t* payload, size_t i) {
    float value;
    std::memcpy(&value, payload + i * sizeof(value), sizeof(value));
    return value;
  }
};
struct Bfloat16Payload {
  TESSERA_INLINE_LOOP static float Load(const uint8_t* payload, size_t i) {
    uint16_t bits;
    std::memcpy(&bits, payload + i * sizeof(bits), sizeof(bits));
    return FromBfloat16(bits);
  }
};

namespace internal {

// For an encoding and a number of held terms that the compiler knows.
template <typename Payload, size_t kHeld, typename Body>
TESSERA_INLINE_LOOP inline bool LoopOverSums(SumRun run, size_t count,
                                             Body body) {
  FiniteCheck finite;
  TESSERA_INDEPENDENT_ELEMENTS
  for (size_t i = 0; i < count; ++i) {
    float sum = Payload::Load(run.payload, i);
    for (size_t k = 0; k < kHeld; ++k) sum = sum + run.held[k][i];
    finite.See(sum);
    body(i, sum);
  }
  return finite.passed();
}

template <typename Payload, typename Body>
TESSERA_INLINE_LOOP inline bool LoopOverSumsOf(const SumRun& run, size_t count,
                                               Body body) {
  switch (run.held_count) {
    case 0:
      return LoopOverSums<Payload, 0>(run, count, body);
    case 1:
      return LoopOverSums<Payload, 1>(run, count, body);
    case 2:
      return LoopOverSums<Payload, 2>(run, count, body);
    case 3:
      return LoopOverSums<Payload, 3>(run, count, body);
    default:
      return LoopOverSums<Payload, 4>(run, count, body);
  }
}

}  // namespace internal

// Calls body(i, sum at element i) for each element and gives whether all sums
// are finite. What kind of sum it is gets chosen once, above the loop. For
// functions with TESSERA_VECTOR_CLONES; `body` must be a lambda with
// TESSERA_INLINE_LOOP that works on element i of arrays that are none of the
// run's, or its float32 payload.
template <typename Body>
TESSERA_INLINE_LOOP inline bool ForEachSum(const SumRun& run, size_t count,
                                           Body body) {
  return run.encoding == v1::ENCODING_BFLOAT16
             ? internal::LoopOverSumsOf<Bfloat16Payload>(run, count, body)
             : internal::LoopOverSumsOf<Float32Payload>(run, count, body);
}

// out[i] = the sum at element i; gives whether all of them are finite. `out`
// may be a float32 payload.
bool FoldRun(const SumRun& run, size_t count, float* out);

namespace internal {

// The run of `sum` from element `first` on, with the terms from `skip` on.
inline SumRun RunAt(const GradientSum& sum, size_t skip, const uint8_t* payload,
                    size_t first) {
  SumRun run{.payload = payload, .encoding = sum.encoding};
  for (size_t k = skip; k < sum.held.size(); ++k) {
    run.held[run.held_count++] = sum.held[k] + first;
  }
  return run;
}

// With more terms than a run takes: the first ones are added up beforehand, a
// tile at a time.
template <typename Visit>
bool VisitLongSum(const GradientSum& sum, const uint8_t* payload, size_t first,
                  size_t count, Visit&& visit) {
  constexpr size_t kTile = 2048;
  alignas(64) float tile[kTile];
  const auto* const tile_bytes = reinterpret_cast<const uint8_t*>(tile);
  const size_t value_bytes = BytesPerValue(sum.encoding);
  const size_t last = sum.held.size() - SumRun::kMaxHeld;
  bool all = true;
  for (size_t done = 0; done < count; done += kTile) {
    const size_t n = std::min(kTile, count - done);
    const size_t at = first + done;
    SumRun run{.payload = payload + done * value_bytes,
               .encoding = sum.encoding,
               .held_count = 1};
    for (size_t k = 0; k < last; ++k) {
      run.held[0] = sum.held[k] + at;
      FoldRun(run, n, tile);
      run.payload = tile_bytes;
      run.encoding = v1::ENCODING_FLOAT32;
    }
    SumRun rest = RunAt(sum, last, tile_bytes, at);
    rest.encoding = v1::ENCODING_FLOAT32;
    all &= visit(static_cast<const SumRun&>(rest), at, n);
  }
  return all;
}

}  // namespace internal

// Cuts the sum into runs and calls visit(const SumRun&, first, count) for each,
// in order: `count` elements from number `first` on. Gives whether all visits
// gave true; none is left out.
template <typename Visit>
bool ForEachSumRun(const GradientSum& sum, Visit&& visit) {
  bool all = true;
  const auto visit_run = [&](const uint8_t* payload, size_t first,
                             size_t count) {
    all &= sum.held.size() <= SumRun::kMaxHeld
               ? visit(internal::RunAt(sum, 0, payload, first), first, count)
               : internal::VisitLongSum(sum, payload, first, count, visit);
  };
  if (sum.encoding == v1::ENCODING_BFLOAT16) {
    ForEachRun<kBfloat16Bytes>(sum.payload, visit_run);
  } else {
    ForEachFloatRun(sum.payload, visit_run);
  }
  return all;
}

}  // namespace tessera

#endif  // TESSERA_SERVER_SHARD_CPU_SUM_RUN_H_
