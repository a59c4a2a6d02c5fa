// Kernels of stochastic gradient descent: the sum's last additions and the
// update in one pass. The arithmetic is element_rule.h's.

#ifndef TESSERA_SERVER_SHARD_CUDA_SGD_KERNEL_H_
#define TESSERA_SERVER_SHARD_CUDA_SGD_KERNEL_H_

#include <cuda_runtime_api.h>

#include "server/shard/cuda/sum_terms.h"
#include "server/shard/element_rule.h"

namespace tessera {

// Enqueues the step from x to new_x, for all of the sum's elements. New arrays
// may be the old ones.
cudaError_t LaunchSgd(const SgdRule& rule, const SumTerms& terms,
                      const float* x, float* new_x, cudaStream_t stream);

// Likewise, with momentum v.
cudaError_t LaunchMomentum(const MomentumRule& rule, const SumTerms& terms,
                           const float* x, const float* v, float* new_x,
                           float* new_v, cudaStream_t stream);

}  // namespace tessera

#endif  // TESSERA_SERVER_SHARD_CUDA_SGD_KERNEL_H_
