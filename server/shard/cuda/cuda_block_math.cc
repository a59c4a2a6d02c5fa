#include "server/shard/cuda/cuda_block_math.h"

#include <utility>

#include "server/shard/cuda/fold_kernel.h"

namespace tessera {
namespace {

class CudaBlockMath final : public BlockMath {
 public:
  explicit CudaBlockMath(std::shared_ptr<GradientLanes> lanes)
      : lanes_(std::move(lanes)) {}

  absl::StatusOr<bool> Fold(const GradientSum& sum, float* out) const override {
    return lanes_->Run(sum, "add gradients",
                       [out](const SumTerms& terms, cudaStream_t stream) {
                         return LaunchFold(terms, out, stream);
                       },
                       {});
  }

 private:
  const std::shared_ptr<GradientLanes> lanes_;
};

}  // namespace

std::unique_ptr<BlockMath> MakeCudaBlockMath(
    std::shared_ptr<GradientLanes> lanes) {
  return std::make_unique<CudaBlockMath>(std::move(lanes));
}

}  // namespace tessera
