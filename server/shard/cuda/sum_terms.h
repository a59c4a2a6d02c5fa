// A GradientSum as kernels see it.

#ifndef TESSERA_SERVER_SHARD_CUDA_SUM_TERMS_H_
#define TESSERA_SERVER_SHARD_CUDA_SUM_TERMS_H_

#include <cstddef>
#include <cstdint>

namespace tessera {

// All addresses are the GPU's. A plain struct: it travels with each launch.
struct SumTerms {
  // As many as the reduction tree over 2^31 microbatches is high.
  static constexpr int kMaxHeld = 31;

  const void* payload = nullptr;
  bool is_bfloat16 = false;  // The payload; float32 otherwise.
  const float* held[kMaxHeld] = {};
  int held_count = 0;
  size_t elements = 0;
  // Becomes 1 when a sum is NaN or infinite; stays as it is otherwise.
  uint32_t* not_finite = nullptr;
};

}  // namespace tessera

#endif  // TESSERA_SERVER_SHARD_CUDA_SUM_TERMS_H_
