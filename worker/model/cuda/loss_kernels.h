// The losses of worker/model/loss.h, one thread a sample. In double precision:
// there is little to compute, and it is what the CPU does.

#ifndef TESSERA_WORKER_MODEL_CUDA_LOSS_KERNELS_H_
#define TESSERA_WORKER_MODEL_CUDA_LOSS_KERNELS_H_

#include <cuda_runtime_api.h>

#include <cstdint>

namespace tessera {

// Where the outputs lie, what they are to be, and where the results go: the
// GPU's memory, or pinned memory of the host's, which it writes as well.
struct LossArrays {
  const float* outputs;   // [width, samples].
  const int32_t* labels;  // One a sample; null for regression.
  const float* targets;   // [samples, width]; null for classification.
  float* gradient;        // As `outputs`; null where none is wanted.
  double* losses;         // One a sample.
  int32_t* correct;       // Likewise, 0 or 1.
  int width;
  int samples;
};

// Enqueues the losses of the first `count` samples, and the gradient of their
// mean.
cudaError_t LaunchSoftmaxCrossEntropy(const LossArrays& arrays, int count,
                                      cudaStream_t stream);
cudaError_t LaunchMeanSquaredError(const LossArrays& arrays, int count,
                                   cudaStream_t stream);

}  // namespace tessera

#endif  // TESSERA_WORKER_MODEL_CUDA_LOSS_KERNELS_H_
