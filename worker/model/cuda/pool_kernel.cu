#include "worker/model/cuda/element_loop.h"
#include "worker/model/cuda/pool_kernel.h"

namespace tessera {
namespace {

struct Pool {
  Windows w;
  const float* x;
  float* y;
  int32_t* places;

  __device__ void operator()(uint32_t i) const {
    const int left = static_cast<int>(i % w.columns) * w.stride;
    const int top = static_cast<int>(i / w.columns % w.rows) * w.stride;
    const float* const plane =
        x + size_t{i / (w.columns * w.rows)} * w.height * w.width;
    int32_t place = top * w.width + left;
    for (int row = top; row < top + w.size; ++row) {
      for (int column = left; column < left + w.size; ++column) {
        const int32_t here = row * w.width + column;
        if (plane[here] > plane[place]) place = here;
      }
    }
    y[i] = plane[place];
    if (places != nullptr) places[i] = place;
  }
};

struct PoolGradient {
  Windows w;
  const float* y_gradient;
  const int32_t* places;
  float* x_gradient;

  // The first window that reaches `at`, which may lie past the last one.
  __device__ int First(int at) const {
    return at < w.size ? 0 : (at - w.size) / w.stride + 1;
  }
  __device__ int End(int at, int windows) const {
    const int end = at / w.stride + 1;
    return end < windows ? end : windows;
  }

  __device__ void operator()(uint32_t i) const {
    const uint32_t plane_size = w.height * w.width;
    const auto place = static_cast<int32_t>(i % plane_size);
    const size_t first_window = size_t{i / plane_size} * w.rows * w.columns;
    const int y_at = place / w.width;
    const int x_at = place % w.width;
    float sum = 0;
    for (int row = First(y_at); row < End(y_at, w.rows); ++row) {
      for (int column = First(x_at); column < End(x_at, w.columns); ++column) {
        const size_t window = first_window + row * w.columns + column;
        if (places[window] == place) sum += y_gradient[window];
      }
    }
    x_gradient[i] = sum;
  }
};

}  // namespace

cudaError_t LaunchMaxPool(const Windows& windows, const float* x, float* y,
                          int32_t* places, cudaStream_t stream) {
  return ForEachElement(windows.outputs(), Pool{windows, x, y, places}, stream);
}

cudaError_t LaunchMaxPoolGradient(const Windows& windows,
                                  const float* y_gradient,
                                  const int32_t* places, float* x_gradient,
                                  cudaStream_t stream) {
  return ForEachElement(windows.inputs(),
                        PoolGradient{windows, y_gradient, places, x_gradient},
                        stream);
}

}  // namespace tessera
