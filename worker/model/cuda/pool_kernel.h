// Max pooling. Of equal values the first, in row-major order, is the largest.

#ifndef TESSERA_WORKER_MODEL_CUDA_POOL_KERNEL_H_
#define TESSERA_WORKER_MODEL_CUDA_POOL_KERNEL_H_

#include <cuda_runtime_api.h>

#include <cstdint>

#include "worker/model/cuda/windows.h"

namespace tessera {

// Enqueues y = each window's largest value of x, and, unless it is null,
// places = where in its plane that was. There is no padding.
cudaError_t LaunchMaxPool(const Windows& windows, const float* x, float* y,
                          int32_t* places, cudaStream_t stream);

// Enqueues x_gradient = at each place, the sum of y_gradient over the windows
// whose largest value lay there, in row-major order.
cudaError_t LaunchMaxPoolGradient(const Windows& windows,
                                  const float* y_gradient,
                                  const int32_t* places, float* x_gradient,
                                  cudaStream_t stream);

}  // namespace tessera

#endif  // TESSERA_WORKER_MODEL_CUDA_POOL_KERNEL_H_
