#include "server/shard/cuda/sgd_kernel.h"
#include "server/shard/cuda/sum_loop.h"

namespace tessera {
namespace {

struct SgdStep {
  SgdRule rule;
  const float* x;
  float* new_x;

  template <int kWidth>
  __device__ void Do(size_t i, const Pack<kWidth>& sums) const {
    const Pack<kWidth> from = Load<kWidth>(x, i);
    Pack<kWidth> to;
    for (int k = 0; k < kWidth; ++k) {
      to.at[k] = rule.Update(sums.at[k], from.at[k]);
    }
    Store(to, new_x, i);
  }
};

struct MomentumStep {
  MomentumRule rule;
  const float* x;
  const float* v;
  float* new_x;
  float* new_v;

  template <int kWidth>
  __device__ void Do(size_t i, const Pack<kWidth>& sums) const {
    const Pack<kWidth> from_x = Load<kWidth>(x, i);
    const Pack<kWidth> from_v = Load<kWidth>(v, i);
    Pack<kWidth> to_x, to_v;
    for (int k = 0; k < kWidth; ++k) {
      to_x.at[k] =
          rule.Update(sums.at[k], from_x.at[k], from_v.at[k], to_v.at[k]);
    }
    Store(to_x, new_x, i);
    Store(to_v, new_v, i);
  }
};

}  // namespace

cudaError_t LaunchSgd(const SgdRule& rule, const SumTerms& terms,
                      const float* x, float* new_x, cudaStream_t stream) {
  return ForEachSum(terms, SgdStep{rule, x, new_x}, stream, x, new_x);
}

cudaError_t LaunchMomentum(const MomentumRule& rule, const SumTerms& terms,
                           const float* x, const float* v, float* new_x,
                           float* new_v, cudaStream_t stream) {
  return ForEachSum(terms, MomentumStep{rule, x, v, new_x, new_v}, stream, x, v,
                    new_x, new_v);
}

}  // namespace tessera
