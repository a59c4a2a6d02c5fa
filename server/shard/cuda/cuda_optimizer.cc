#include "server/shard/cuda/cuda_optimizer.h"

#include <utility>

#include "server/shard/cuda/adamw_kernel.h"
#include "server/shard/cuda/sgd_kernel.h"
#include "server/shard/update_rule.h"

namespace tessera {
namespace {

// What all have in common: the way of the gradient in and of the parameters
// out.
class CudaOptimizer : public Optimizer {
 public:
  CudaOptimizer(const Job& job, std::shared_ptr<GradientLanes> lanes)
      : job_(job), lanes_(std::move(lanes)) {}

  absl::StatusOr<bool> Apply(const BlockUpdate& u) const final {
    Download download;
    if (u.host_copy != nullptr) {
      download = {.to = u.host_copy,
                  .from = u.new_parameters,
                  .bytes = u.gradient.elements() * sizeof(float)};
    }
    return lanes_->Run(
        u.gradient, "apply the optimizer",
        [&](const SumTerms& terms, cudaStream_t stream) {
          return Launch(u, terms, stream);
        },
        download);
  }

 protected:
  virtual cudaError_t Launch(const BlockUpdate& u, const SumTerms& terms,
                             cudaStream_t stream) const = 0;

  const Job& job() const { return job_; }

 private:
  const Job& job_;
  const std::shared_ptr<GradientLanes> lanes_;
};

class CudaSgd final : public CudaOptimizer {
 public:
  using CudaOptimizer::CudaOptimizer;
  int slot_count() const override { return 0; }

 private:
  cudaError_t Launch(const BlockUpdate& u, const SumTerms& terms,
                     cudaStream_t stream) const override {
    return LaunchSgd(MakeSgdRule(job(), u.step), terms, u.parameters,
                     u.new_parameters, stream);
  }
};

class CudaMomentum final : public CudaOptimizer {
 public:
  using CudaOptimizer::CudaOptimizer;
  int slot_count() const override { return 1; }

 private:
  cudaError_t Launch(const BlockUpdate& u, const SumTerms& terms,
                     cudaStream_t stream) const override {
    return LaunchMomentum(MakeMomentumRule(job(), u.step), terms, u.parameters,
                          u.slots[0], u.new_parameters, u.new_slots[0], stream);
  }
};

class CudaAdamW final : public CudaOptimizer {
 public:
  using CudaOptimizer::CudaOptimizer;
  int slot_count() const override { return 2; }

 private:
  cudaError_t Launch(const BlockUpdate& u, const SumTerms& terms,
                     cudaStream_t stream) const override {
    return LaunchAdamW(MakeAdamWRule(job(), u.step), terms,
                       {.x = u.parameters,
                        .m = u.slots[0],
                        .v = u.slots[1],
                        .new_x = u.new_parameters,
                        .new_m = u.new_slots[0],
                        .new_v = u.new_slots[1]},
                       stream);
  }
};

}  // namespace

std::unique_ptr<Optimizer> MakeCudaOptimizer(
    const Job& job, std::shared_ptr<GradientLanes> lanes) {
  const v1::Optimizer& optimizer = job.proto().optimizer();
  if (optimizer.has_adamw()) {
    return std::make_unique<CudaAdamW>(job, std::move(lanes));
  }
  if (optimizer.sgd().momentum() > 0) {
    return std::make_unique<CudaMomentum>(job, std::move(lanes));
  }
  return std::make_unique<CudaSgd>(job, std::move(lanes));
}

}  // namespace tessera
