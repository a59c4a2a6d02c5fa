// How kernels are started: the same line starts one on a GPU, and in tests
// without one, where the stand-in for the runtime calls it for each thread.
// Kernels therefore use neither shared memory nor barriers.

#ifndef TESSERA_COMMON_DEVICE_CUDA_LAUNCH_H_
#define TESSERA_COMMON_DEVICE_CUDA_LAUNCH_H_

#include <cuda_runtime.h>

#include <utility>

namespace tessera {

// Enqueues kernel(arguments...) on `stream`, for `blocks` blocks of `threads`
// threads each. No blocks is no work.
template <typename... Parameters, typename... Arguments>
cudaError_t Launch(void (*kernel)(Parameters...), unsigned blocks,
                   unsigned threads, cudaStream_t stream,
                   Arguments&&... arguments) {
  if (blocks == 0) return cudaSuccess;
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(blocks);
  config.blockDim = dim3(threads);
  config.stream = stream;
  return cudaLaunchKernelEx(&config, kernel,
                            std::forward<Arguments>(arguments)...);
}

}  // namespace tessera

#endif  // TESSERA_COMMON_DEVICE_CUDA_LAUNCH_H_
