// Kernels over elements, one thread each; for kernels' sources alone.

#ifndef TESSERA_WORKER_MODEL_CUDA_ELEMENT_LOOP_H_
#define TESSERA_WORKER_MODEL_CUDA_ELEMENT_LOOP_H_

#include <cuda_runtime.h>

#include <cstdint>

#include "common/device/cuda/launch.h"

namespace tessera {

template <typename Body>
__global__ void ElementKernel(uint32_t count, Body body) {
  const uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < count) body(i);
}

// Enqueues body(i) for i in [0, count), in any order. `count` is below 2^31.
template <typename Body>
cudaError_t ForEachElement(int64_t count, const Body& body,
                           cudaStream_t stream) {
  constexpr unsigned kThreads = 256;
  const auto elements = static_cast<uint32_t>(count);
  return Launch(ElementKernel<Body>, (elements + kThreads - 1) / kThreads,
                kThreads, stream, elements, body);
}

}  // namespace tessera

#endif  // TESSERA_WORKER_MODEL_CUDA_ELEMENT_LOOP_H_
