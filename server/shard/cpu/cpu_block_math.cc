#include "server/shard/cpu/cpu_block_math.h"

#include "common/base/vectorize.h"
#include "server/shard/cpu/sum_run.h"

namespace tessera {
namespace {

class CpuBlockMath final : public BlockMath {
 public:
  absl::Status Fold(const GradientSum& sum, float* out) const override {
    ForEachSumRun(sum, [out](const SumRun& run, size_t first, size_t count) {
      FoldRun(run, count, out + first);
    });
    return absl::OkStatus();
  }
};

}  // namespace

TESSERA_VECTOR_CLONES
void FoldRun(const SumRun& run, size_t count, float* out) {
  WithElementSum(run, [=](auto sum) TESSERA_INLINE_LOOP {
    TESSERA_INDEPENDENT_ELEMENTS
    for (size_t i = 0; i < count; ++i) out[i] = sum(i);
  });
}

std::unique_ptr<BlockMath> MakeCpuBlockMath() {
  return std::make_unique<CpuBlockMath>();
}

}  // namespace tessera
