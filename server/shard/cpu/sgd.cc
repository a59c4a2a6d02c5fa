#include "server/shard/cpu/sgd.h"

#include "common/base/vectorize.h"
#include "server/shard/cpu/sum_run.h"
#include "server/shard/update_rule.h"

namespace tessera {
namespace {

TESSERA_VECTOR_CLONES
bool UpdateRun(const SgdRule& rule, const SumRun& run, const float* x,
               float* new_x, size_t count) {
  return ForEachSum(run, count, [=](size_t i, float sum) TESSERA_INLINE_LOOP {
    new_x[i] = rule.Update(sum, x[i]);
  });
}

TESSERA_VECTOR_CLONES
bool UpdateRunWithMomentum(const MomentumRule& rule, const SumRun& run,
                           const float* x, const float* v, float* new_x,
                           float* new_v, size_t count) {
  return ForEachSum(run, count, [=](size_t i, float sum) TESSERA_INLINE_LOOP {
    new_x[i] = rule.Update(sum, x[i], v[i], new_v[i]);
  });
}

class CpuSgd final : public Optimizer {
 public:
  explicit CpuSgd(const Job& job) : job_(job) {}

  int slot_count() const override { return 0; }

  absl::StatusOr<bool> Apply(const BlockUpdate& u) const override {
    const SgdRule rule = MakeSgdRule(job_, u.step);
    return ForEachSumRun(u.gradient,
                         [&](const SumRun& run, size_t first, size_t count) {
                           return UpdateRun(rule, run, u.parameters + first,
                                            u.new_parameters + first, count);
                         });
  }

 private:
  const Job& job_;
};

class CpuMomentum final : public Optimizer {
 public:
  explicit CpuMomentum(const Job& job) : job_(job) {}

  int slot_count() const override { return 1; }

  absl::StatusOr<bool> Apply(const BlockUpdate& u) const override {
    const MomentumRule rule = MakeMomentumRule(job_, u.step);
    return ForEachSumRun(
        u.gradient, [&](const SumRun& run, size_t first, size_t count) {
          return UpdateRunWithMomentum(
              rule, run, u.parameters + first, u.slots[0] + first,
              u.new_parameters + first, u.new_slots[0] + first, count);
        });
  }

 private:
  const Job& job_;
};

}  // namespace

std::unique_ptr<Optimizer> MakeCpuSgd(const Job& job) {
  if (job.proto().optimizer().sgd().momentum() > 0) {
    return std::make_unique<CpuMomentum>(job);
  }
  return std::make_unique<CpuSgd>(job);
}

}  // namespace tessera
