// AdamW's kernel: the sum's last additions and the update in one pass. The
// arithmetic is element_rule.h's.

#ifndef TESSERA_SERVER_SHARD_CUDA_ADAMW_KERNEL_H_
#define TESSERA_SERVER_SHARD_CUDA_ADAMW_KERNEL_H_

#include <cuda_runtime_api.h>

#include "server/shard/cuda/sum_terms.h"
#include "server/shard/element_rule.h"

namespace tessera {

// The arrays of a step, before and after; each after may be its before.
struct AdamWArrays {
  const float* x;
  const float* m;
  const float* v;
  float* new_x;
  float* new_m;
  float* new_v;
};

// Enqueues the step for all of the sum's elements.
cudaError_t LaunchAdamW(const AdamWRule& rule, const SumTerms& terms,
                        const AdamWArrays& arrays, cudaStream_t stream);

}  // namespace tessera

#endif  // TESSERA_SERVER_SHARD_CUDA_ADAMW_KERNEL_H_
