#include <cmath>

#include "worker/model/cuda/element_loop.h"
#include "worker/model/cuda/loss_kernels.h"

namespace tessera {
namespace {

struct SoftmaxCrossEntropyOfSample {
  LossArrays a;
  double count;

  __device__ void operator()(uint32_t sample) const {
    const float* const x = a.outputs + sample;
    int largest = 0;
    for (int i = 1; i < a.width; ++i) {
      if (x[largest * a.samples] < x[i * a.samples]) largest = i;
    }
    // By way of the largest, so that nothing overflows.
    const double top = x[largest * a.samples];
    double sum = 0;
    for (int i = 0; i < a.width; ++i) sum += exp(x[i * a.samples] - top);
    const double normalizer = top + log(sum);
    const int label = a.labels[sample];
    a.losses[sample] = normalizer - x[label * a.samples];
    a.correct[sample] = largest == label;
    if (a.gradient == nullptr) return;
    for (int i = 0; i < a.width; ++i) {
      const double p = exp(x[i * a.samples] - normalizer);
      a.gradient[i * a.samples + sample] =
          static_cast<float>((p - (i == label ? 1.0 : 0.0)) / count);
    }
  }
};

struct MeanSquaredErrorOfSample {
  LossArrays a;
  double count;

  __device__ void operator()(uint32_t sample) const {
    double squares = 0;
    for (int i = 0; i < a.width; ++i) {
      const double difference =
          static_cast<double>(a.outputs[i * a.samples + sample]) -
          static_cast<double>(a.targets[sample * a.width + i]);
      squares += difference * difference;
      if (a.gradient == nullptr) continue;
      a.gradient[i * a.samples + sample] =
          static_cast<float>(2 * difference / (count * a.width));
    }
    a.losses[sample] = squares / a.width;
    a.correct[sample] = 0;
  }
};

}  // namespace

cudaError_t LaunchSoftmaxCrossEntropy(const LossArrays& arrays, int count,
                                      cudaStream_t stream) {
  return ForEachElement(
      count, SoftmaxCrossEntropyOfSample{arrays, static_cast<double>(count)},
      stream);
}

cudaError_t LaunchMeanSquaredError(const LossArrays& arrays, int count,
                                   cudaStream_t stream) {
  return ForEachElement(
      count, MeanSquaredErrorOfSample{arrays, static_cast<double>(count)},
      stream);
}

}  // namespace tessera
