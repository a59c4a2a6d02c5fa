// The stand-in's kernel language: enough for elementwise kernels, compiled as
// plain C++. A kernel runs thread by thread, the last one first, because
// nothing may depend on the order.

#ifndef TESSERA_TESTS_SUPPORT_FAKE_CUDA_CUDA_RUNTIME_H_
#define TESSERA_TESTS_SUPPORT_FAKE_CUDA_CUDA_RUNTIME_H_

#include <cuda_runtime_api.h>

#include <bit>
#include <cstdint>
#include <functional>

#include "tests/support/fake_cuda/fake_cuda.h"

#define __device__
#define __global__
#define __host__

struct dim3 {
  constexpr dim3(unsigned all_x = 1, unsigned all_y = 1, unsigned all_z = 1)
      : x(all_x), y(all_y), z(all_z) {}
  unsigned x;
  unsigned y;
  unsigned z;
};

// Where the thread that is being run stands.
inline thread_local dim3 gridDim;
inline thread_local dim3 blockDim;
inline thread_local dim3 blockIdx;
inline thread_local dim3 threadIdx;

inline float __uint_as_float(uint32_t bits) {
  return std::bit_cast<float>(bits);
}
inline uint32_t __float_as_uint(float value) {
  return std::bit_cast<uint32_t>(value);
}

struct cudaLaunchConfig_t {
  dim3 gridDim;
  dim3 blockDim;
  size_t dynamicSmemBytes = 0;
  cudaStream_t stream = nullptr;
};

template <typename... Parameters, typename... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config,
                               void (*kernel)(Parameters...),
                               Arguments&&... arguments) {
  const dim3 grid = config->gridDim;
  const dim3 block = config->blockDim;
  if (grid.x < 1 || block.x < 1 || block.x > 1024) {
    return cudaErrorInvalidConfiguration;
  }
  // As on a GPU, the kernel gets copies.
  return tessera::fake_cuda::EnqueueKernel(
      config->stream, [=, ... copies = Parameters(arguments)] {
        gridDim = grid;
        blockDim = block;
        for (unsigned b = grid.x; b-- > 0;) {
          for (unsigned t = block.x; t-- > 0;) {
            blockIdx = dim3(b, 0, 0);
            threadIdx = dim3(t, 0, 0);
            kernel(copies...);
          }
        }
      });
}

#endif  // TESSERA_TESTS_SUPPORT_FAKE_CUDA_CUDA_RUNTIME_H_
