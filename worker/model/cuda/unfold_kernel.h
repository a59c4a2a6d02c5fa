// Convolution as a matrix product ("im2col"): Chellapilla, Puri and Simard,
// "High performance convolutional neural networks for document processing",
// 2006.

#ifndef TESSERA_WORKER_MODEL_CUDA_UNFOLD_KERNEL_H_
#define TESSERA_WORKER_MODEL_CUDA_UNFOLD_KERNEL_H_

#include <cuda_runtime_api.h>

#include "worker/model/cuda/windows.h"

namespace tessera {

// Enqueues columns[(c, ky, kx), (sample, row, column)] = what the window at
// that place of x's channel c holds at (ky, kx).
cudaError_t LaunchUnfold(const Windows& windows, const float* x, float* columns,
                         cudaStream_t stream);

// The transposed map: each of x's places becomes the sum of all that were
// copied from it, in the order of (ky, kx).
cudaError_t LaunchFoldBack(const Windows& windows, const float* columns,
                           float* x, cudaStream_t stream);

}  // namespace tessera

#endif  // TESSERA_WORKER_MODEL_CUDA_UNFOLD_KERNEL_H_
