#include "worker/model/cuda/element_loop.h"
#include "worker/model/cuda/unfold_kernel.h"

namespace tessera {
namespace {

struct Unfold {
  Windows w;
  const float* x;
  float* columns;

  __device__ void operator()(uint32_t i) const {
    const uint32_t column = i % w.columns;
    const uint32_t row = i / w.columns % w.rows;
    const uint32_t sample = i / (w.columns * w.rows) % w.samples;
    const uint32_t line = i / (w.columns * w.rows * w.samples);
    const int x_at = static_cast<int>(column) * w.stride - w.padding +
                     static_cast<int>(line % w.size);
    const int y_at = static_cast<int>(row) * w.stride - w.padding +
                     static_cast<int>(line / w.size % w.size);
    const uint32_t channel = line / (w.size * w.size);
    const bool inside =
        y_at >= 0 && y_at < w.height && x_at >= 0 && x_at < w.width;
    columns[i] =
        inside
            ? x[((channel * w.samples + sample) * w.height + y_at) * w.width +
                x_at]
            : 0.0f;
  }
};

// One thread gathers for each place, so nobody adds to what another writes.
struct FoldBack {
  Windows w;
  const float* columns;
  float* x;

  __device__ void operator()(uint32_t i) const {
    const int x_at = static_cast<int>(i % w.width);
    const int y_at = static_cast<int>(i / w.width % w.height);
    const uint32_t sample = i / (w.width * w.height) % w.samples;
    const uint32_t channel = i / (w.width * w.height * w.samples);
    float sum = 0;
    for (int ky = 0; ky < w.size; ++ky) {
      const int y = y_at + w.padding - ky;
      if (y < 0 || y % w.stride != 0 || y / w.stride >= w.rows) continue;
      for (int kx = 0; kx < w.size; ++kx) {
        const int x_start = x_at + w.padding - kx;
        if (x_start < 0 || x_start % w.stride != 0 ||
            x_start / w.stride >= w.columns) {
          continue;
        }
        const uint32_t line = (channel * w.size + ky) * w.size + kx;
        sum += columns[((line * w.samples + sample) * w.rows + y / w.stride) *
                           w.columns +
                       x_start / w.stride];
      }
    }
    x[i] = sum;
  }
};

}  // namespace

cudaError_t LaunchUnfold(const Windows& windows, const float* x, float* columns,
                         cudaStream_t stream) {
  return ForEachElement(windows.outputs() * windows.size * windows.size,
                        Unfold{windows, x, columns}, stream);
}

cudaError_t LaunchFoldBack(const Windows& windows, const float* columns,
                           float* x, cudaStream_t stream) {
  return ForEachElement(windows.inputs(), FoldBack{windows, columns, x},
                        stream);
}

}  // namespace tessera
