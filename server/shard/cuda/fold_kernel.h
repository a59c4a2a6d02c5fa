// BlockMath::Fold's kernel.

#ifndef TESSERA_SERVER_SHARD_CUDA_FOLD_KERNEL_H_
#define TESSERA_SERVER_SHARD_CUDA_FOLD_KERNEL_H_

#include <cuda_runtime_api.h>

#include "server/shard/cuda/sum_terms.h"

namespace tessera {

// Enqueues out[i] = the sum at i, for all elements.
cudaError_t LaunchFold(const SumTerms& terms, float* out, cudaStream_t stream);

}  // namespace tessera

#endif  // TESSERA_SERVER_SHARD_CUDA_FOLD_KERNEL_H_
