#include "server/shard/cpu/cpu_block_math.h"

#include "common/base/vectorize.h"
#include "server/shard/cpu/sum_run.h"

namespace tessera {
namespace {

class CpuBlockMath final : public BlockMath {
 public:
  absl::StatusOr<bool> Fold(const GradientSum& sum, float* out) const override {
    return ForEachSumRun(sum,
                         [out](const SumRun& run, size_t first, size_t count) {
                           return FoldRun(run, count, out + first);
                         });
  }
};

}  // namespace

TESSERA_VECTOR_CLONES
bool FoldRun(const SumRun& run, size_t count, float* out) {
  return ForEachSum(run, count, [=](size_t i, float sum) TESSERA_INLINE_LOOP {
    out[i] = sum;
  });
}

std::unique_ptr<BlockMath> MakeCpuBlockMath() {
  return std::make_unique<CpuBlockMath>();
}

}  // namespace tessera
