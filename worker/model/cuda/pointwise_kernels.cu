#include "common/base/philox_rounds.h"
#include "worker/model/cuda/element_loop.h"
#include "worker/model/cuda/pointwise_kernels.h"

namespace tessera {
namespace {

struct Fill {
  float value;
  float* y;
  __device__ void operator()(uint32_t i) const { y[i] = value; }
};

// As the CPU has it: NaN stays NaN.
__device__ inline float Rectified(float x) { return x < 0 ? 0 : x; }

struct AddBias {
  const float* bias;
  uint32_t width;
  bool relu;
  float* y;

  __device__ void operator()(uint32_t i) const {
    const float sum = y[i] + bias[i / width];
    y[i] = relu ? Rectified(sum) : sum;
  }
};

struct Relu {
  float* y;
  __device__ void operator()(uint32_t i) const { y[i] = Rectified(y[i]); }
};

struct ReluGradient {
  const float* y;
  float* gradient;
  __device__ void operator()(uint32_t i) const {
    gradient[i] = y[i] > 0 ? gradient[i] : 0;
  }
};

// These write neighbouring places from neighbouring threads.
struct SwapOuter {
  const float* from;
  uint32_t outer, inner, width;
  float* to;

  __device__ void operator()(uint32_t i) const {
    const uint32_t at = i % width;
    const uint32_t a = i / width % outer;
    const uint32_t b = i / (width * outer);
    to[i] = from[(a * inner + b) * width + at];
  }
};

struct SwapInner {
  const float* from;
  uint32_t inner, width;
  float* to;

  __device__ void operator()(uint32_t i) const {
    const uint32_t b = i % inner;
    const uint32_t at = i / inner % width;
    const uint32_t a = i / (inner * width);
    to[i] = from[(a * inner + b) * width + at];
  }
};

// A draw of four words serves four places of a sample that follow each other.
struct Dropout {
  static constexpr uint32_t kWords = 4;

  DropoutMask mask;
  uint32_t channels, samples, plane;
  float* values;

  __device__ void operator()(uint32_t i) const {
    const uint32_t sample_size = channels * plane;
    const uint32_t draws = (sample_size + kWords - 1) / kWords;
    const uint32_t sample = i / draws;
    const uint32_t draw = i % draws;
    const uint64_t index = (mask.first_sample + sample) * draws + draw;
    const PhiloxBlock random = PhiloxRounds(
        {{static_cast<uint32_t>(index), static_cast<uint32_t>(index >> 32),
          mask.layer, mask.stream}},
        mask.key[0], mask.key[1]);
    for (uint32_t word = 0; word < kWords; ++word) {
      const uint32_t place = draw * kWords + word;
      if (place >= sample_size) return;
      float& value =
          values[(place / plane * samples + sample) * plane + place % plane];
      value *= random.words[word] < mask.threshold ? 0 : mask.scale;
    }
  }
};

}  // namespace

cudaError_t LaunchFill(float value, int64_t count, float* y,
                       cudaStream_t stream) {
  return ForEachElement(count, Fill{value, y}, stream);
}

cudaError_t LaunchAddBias(const float* bias, int rows, int64_t width, bool relu,
                          float* y, cudaStream_t stream) {
  return ForEachElement(rows * width,
                        AddBias{bias, static_cast<uint32_t>(width), relu, y},
                        stream);
}

cudaError_t LaunchRelu(int64_t count, float* y, cudaStream_t stream) {
  return ForEachElement(count, Relu{y}, stream);
}

cudaError_t LaunchReluGradient(const float* y, int64_t count, float* gradient,
                               cudaStream_t stream) {
  return ForEachElement(count, ReluGradient{y, gradient}, stream);
}

cudaError_t LaunchSwapOuter(const float* from, int outer, int inner, int width,
                            float* to, cudaStream_t stream) {
  return ForEachElement(
      int64_t{outer} * inner * width,
      SwapOuter{from, static_cast<uint32_t>(outer),
                static_cast<uint32_t>(inner), static_cast<uint32_t>(width), to},
      stream);
}

cudaError_t LaunchSwapInner(const float* from, int outer, int inner, int width,
                            float* to, cudaStream_t stream) {
  return ForEachElement(int64_t{outer} * inner * width,
                        SwapInner{from, static_cast<uint32_t>(inner),
                                  static_cast<uint32_t>(width), to},
                        stream);
}

cudaError_t LaunchDropout(const DropoutMask& mask, int channels, int samples,
                          int plane, float* values, cudaStream_t stream) {
  const int64_t sample_size = int64_t{channels} * plane;
  const int64_t draws = (sample_size + Dropout::kWords - 1) / Dropout::kWords;
  return ForEachElement(samples * draws,
                        Dropout{mask, static_cast<uint32_t>(channels),
                                static_cast<uint32_t>(samples),
                                static_cast<uint32_t>(plane), values},
                        stream);
}

}  // namespace tessera
