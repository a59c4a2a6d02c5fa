#include "server/shard/cuda/adamw_kernel.h"
#include "server/shard/cuda/sum_loop.h"

namespace tessera {
namespace {

struct AdamWStep {
  AdamWRule rule;
  AdamWArrays arrays;

  template <int kWidth>
  __device__ void Do(size_t i, const Pack<kWidth>& sums) const {
    const Pack<kWidth> x = Load<kWidth>(arrays.x, i);
    const Pack<kWidth> m = Load<kWidth>(arrays.m, i);
    const Pack<kWidth> v = Load<kWidth>(arrays.v, i);
    Pack<kWidth> new_x, new_m, new_v;
    for (int k = 0; k < kWidth; ++k) {
      new_x.at[k] = rule.Update(sums.at[k], x.at[k], m.at[k], v.at[k],
                                new_m.at[k], new_v.at[k]);
    }
    Store(new_x, arrays.new_x, i);
    Store(new_m, arrays.new_m, i);
    Store(new_v, arrays.new_v, i);
  }
};

}  // namespace

cudaError_t LaunchAdamW(const AdamWRule& rule, const SumTerms& terms,
                        const AdamWArrays& arrays, cudaStream_t stream) {
  return ForEachSum(terms, AdamWStep{rule, arrays}, stream, arrays.x, arrays.m,
                    arrays.v, arrays.new_x, arrays.new_m, arrays.new_v);
}

}  // namespace tessera
