// Loops over a sum's elements on a GPU: the counterpart of cpu/sum_run.h, for
// kernels' sources alone.
//
// Every term is read once, side by side, 16 bytes at a time, and the sum stays
// in registers. Threads of a warp read neighbouring addresses. What does not
// fill 16 bytes at the end goes element by element, and so does everything when
// some array begins at no 16 bytes.

#ifndef TESSERA_SERVER_SHARD_CUDA_SUM_LOOP_H_
#define TESSERA_SERVER_SHARD_CUDA_SUM_LOOP_H_

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#include "common/device/cuda/launch.h"
#include "server/shard/cuda/sum_terms.h"

namespace tessera {

// Neighbouring values, loaded and stored at once.
template <int kWidth>
struct alignas(kWidth * sizeof(float)) Pack {
  float at[kWidth];
};

template <int kWidth>
__device__ inline Pack<kWidth> Load(const float* from, size_t i) {
  return *reinterpret_cast<const Pack<kWidth>*>(from + i);
}

template <int kWidth>
__device__ inline void Store(const Pack<kWidth>& values, float* to, size_t i) {
  *reinterpret_cast<Pack<kWidth>*>(to + i) = values;
}

struct Float32Payload {
  template <int kWidth>
  __device__ static Pack<kWidth> LoadPack(const void* payload, size_t i) {
    return Load<kWidth>(static_cast<const float*>(payload), i);
  }
};

// The upper half of a float32; see common/tensor/bfloat16.h.
struct Bfloat16Payload {
  template <int kWidth>
  struct alignas(kWidth * sizeof(uint16_t)) Halves {
    uint16_t at[kWidth];
  };

  template <int kWidth>
  __device__ static Pack<kWidth> LoadPack(const void* payload, size_t i) {
    const auto halves = *reinterpret_cast<const Halves<kWidth>*>(
        static_cast<const uint16_t*>(payload) + i);
    Pack<kWidth> values;
    for (int k = 0; k < kWidth; ++k) {
      values.at[k] = __uint_as_float(uint32_t{halves.at[k]} << 16);
    }
    return values;
  }
};

// The sums at elements [i, i + kWidth), for kHeld held terms; as many as there
// are when it is negative. The order is GradientSum's.
template <typename Payload, int kHeld>
struct ElementSum {
  SumTerms terms;

  template <int kWidth>
  __device__ Pack<kWidth> At(size_t i) const {
    Pack<kWidth> sum = Payload::template LoadPack<kWidth>(terms.payload, i);
    const int count = kHeld < 0 ? terms.held_count : kHeld;
    for (int h = 0; h < count; ++h) {
      const Pack<kWidth> term = Load<kWidth>(terms.held[h], i);
      for (int k = 0; k < kWidth; ++k) sum.at[k] = sum.at[k] + term.at[k];
    }
    return sum;
  }
};

template <int kWidth>
__device__ inline bool IsFinite(const Pack<kWidth>& values) {
  constexpr uint32_t kExponent = 0x7f800000;
  bool is_finite = true;
  for (int k = 0; k < kWidth; ++k) {
    is_finite &= (__float_as_uint(values.at[k]) & kExponent) != kExponent;
  }
  return is_finite;
}

// body.Do<n>(i, sums) for all elements, n at a time: one pack for each thread,
// and for the first threads one element of the rest.
template <int kWidth, typename Sum, typename Body>
__global__ void SumLoopKernel(Sum sum, Body body) {
  const size_t thread = size_t{blockIdx.x} * blockDim.x + threadIdx.x;
  const size_t packs = sum.terms.elements / kWidth;
  bool is_finite = true;
  if (thread < packs) {
    const size_t i = thread * kWidth;
    const Pack<kWidth> sums = sum.template At<kWidth>(i);
    is_finite = IsFinite(sums);
    body.template Do<kWidth>(i, sums);
  }
  const size_t rest = packs * kWidth + thread;
  if (rest < sum.terms.elements) {
    const Pack<1> sums = sum.template At<1>(rest);
    is_finite &= IsFinite(sums);
    body.template Do<1>(rest, sums);
  }
  // All who write write the same.
  if (!is_finite) *sum.terms.not_finite = 1;
}

namespace internal {

inline constexpr unsigned kThreads = 256;

template <int kWidth, typename Payload, int kHeld, typename Body>
cudaError_t LaunchSumLoop(const SumTerms& terms, const Body& body,
                          cudaStream_t stream) {
  constexpr size_t kPerBlock = size_t{kThreads} * kWidth;
  const size_t blocks = (terms.elements + kPerBlock - 1) / kPerBlock;
  using Sum = ElementSum<Payload, kHeld>;
  return Launch(SumLoopKernel<kWidth, Sum, Body>, static_cast<unsigned>(blocks),
                kThreads, stream, Sum{terms}, body);
}

// The usual numbers of terms are known to the compiler.
template <typename Payload, typename Body>
cudaError_t ChooseTerms(const SumTerms& terms, bool is_aligned,
                        const Body& body, cudaStream_t stream) {
  if (!is_aligned) return LaunchSumLoop<1, Payload, -1>(terms, body, stream);
  switch (terms.held_count) {
    case 0:
      return LaunchSumLoop<4, Payload, 0>(terms, body, stream);
    case 1:
      return LaunchSumLoop<4, Payload, 1>(terms, body, stream);
    case 2:
      return LaunchSumLoop<4, Payload, 2>(terms, body, stream);
    case 3:
      return LaunchSumLoop<4, Payload, 3>(terms, body, stream);
    default:
      return LaunchSumLoop<4, Payload, -1>(terms, body, stream);
  }
}

}  // namespace internal

inline bool IsAligned(const void* array) {
  return reinterpret_cast<uintptr_t>(array) % 16 == 0;
}

// Enqueues body.Do<n>(i, sums) for all elements of the sum. `arrays` are those
// that the body reads or writes n at a time, from any address.
template <typename Body, typename... Arrays>
cudaError_t ForEachSum(const SumTerms& terms, const Body& body,
                       cudaStream_t stream, Arrays... arrays) {
  bool is_aligned = IsAligned(terms.payload) && (... && IsAligned(arrays));
  for (int k = 0; k < terms.held_count; ++k) {
    is_aligned = is_aligned && IsAligned(terms.held[k]);
  }
  return terms.is_bfloat16 ? internal::ChooseTerms<Bfloat16Payload>(
                                 terms, is_aligned, body, stream)
                           : internal::ChooseTerms<Float32Payload>(
                                 terms, is_aligned, body, stream);
}

}  // namespace tessera

#endif  // TESSERA_SERVER_SHARD_CUDA_SUM_LOOP_H_
