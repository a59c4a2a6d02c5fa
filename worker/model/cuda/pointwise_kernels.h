// Kernels in which each value goes its own way: bias, rectifier, dropout,
// reordering.

#ifndef TESSERA_WORKER_MODEL_CUDA_POINTWISE_KERNELS_H_
#define TESSERA_WORKER_MODEL_CUDA_POINTWISE_KERNELS_H_

#include <cuda_runtime_api.h>

#include <cstdint>

namespace tessera {

// All of these enqueue their work on `stream`. Counts are below 2^31.

// y[i] = value.
cudaError_t LaunchFill(float value, int64_t count, float* y,
                       cudaStream_t stream);

// y[r, i] += bias[r], for y of [rows, width]; then y = max(y, 0) if `relu`.
cudaError_t LaunchAddBias(const float* bias, int rows, int64_t width, bool relu,
                          float* y, cudaStream_t stream);

// y[i] = max(y[i], 0).
cudaError_t LaunchRelu(int64_t count, float* y, cudaStream_t stream);

// gradient[i] = 0 where y[i] is not above 0.
cudaError_t LaunchReluGradient(const float* y, int64_t count, float* gradient,
                               cudaStream_t stream);

// to[b, a, i] = from[a, b, i], for `from` of [outer, inner, width].
cudaError_t LaunchSwapOuter(const float* from, int outer, int inner, int width,
                            float* to, cudaStream_t stream);

// to[a, i, b] = from[a, b, i], for `from` of [outer, inner, width].
cudaError_t LaunchSwapInner(const float* from, int outer, int inner, int width,
                            float* to, cudaStream_t stream);

// Which values dropout drops, as worker/model/cpu/dropout.h has it.
struct DropoutMask {
  uint32_t key[2];      // The seed, low word first.
  uint32_t layer = 0;   // Its index in the job's list of layers.
  uint32_t stream = 0;  // Of random numbers.
  // A word of random bits below this one drops its place.
  uint32_t threshold = 0;
  float scale = 1;
  uint64_t first_sample = 0;
};

// Multiplies `values`, [channels, samples, plane], by the mask.
cudaError_t LaunchDropout(const DropoutMask& mask, int channels, int samples,
                          int plane, float* values, cudaStream_t stream);

}  // namespace tessera

#endif  // TESSERA_WORKER_MODEL_CUDA_POINTWISE_KERNELS_H_
