// Square windows that slide over the planes of an activation.

#ifndef TESSERA_WORKER_MODEL_CUDA_WINDOWS_H_
#define TESSERA_WORKER_MODEL_CUDA_WINDOWS_H_

#include <cstdint>

namespace tessera {

// A plain struct: it travels with each launch. Planes are row-major; there is
// one for each channel and sample, channels outermost.
struct Windows {
  int channels = 0;
  int samples = 0;
  // Of a plane.
  int height = 0;
  int width = 0;
  // Of a window; `padding` zeros lie around each plane.
  int size = 0;
  int stride = 1;
  int padding = 0;
  // Windows down and across a plane.
  int rows = 0;
  int columns = 0;

  int64_t planes() const { return int64_t{channels} * samples; }
  int64_t inputs() const { return planes() * height * width; }
  int64_t windows_of_channel() const {
    return int64_t{samples} * rows * columns;
  }
  int64_t outputs() const { return channels * windows_of_channel(); }
};

}  // namespace tessera

#endif  // TESSERA_WORKER_MODEL_CUDA_WINDOWS_H_
