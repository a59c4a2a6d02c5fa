#include "server/shard/cpu/adamw.h"

#include "common/base/vectorize.h"
#include "server/shard/cpu/sum_run.h"
#include "server/shard/update_rule.h"

namespace tessera {
namespace {

TESSERA_VECTOR_CLONES
bool UpdateRun(const AdamWRule& rule, const SumRun& run, const float* x,
               const float* m, const float* v, float* new_x, float* new_m,
               float* new_v, size_t count) {
  return ForEachSum(run, count, [=](size_t i, float sum) TESSERA_INLINE_LOOP {
    new_x[i] = rule.Update(sum, x[i], m[i], v[i], new_m[i], new_v[i]);
  });
}

class CpuAdamW final : public Optimizer {
 public:
  explicit CpuAdamW(const Job& job) : job_(job) {}

  int slot_count() const override { return 2; }

  absl::StatusOr<bool> Apply(const BlockUpdate& u) const override {
    const AdamWRule rule = MakeAdamWRule(job_, u.step);
    return ForEachSumRun(u.gradient, [&](const SumRun& run, size_t first,
                                         size_t count) {
      return UpdateRun(rule, run, u.parameters + first, u.slots[0] + first,
                       u.slots[1] + first, u.new_parameters + first,
                       u.new_slots[0] + first, u.new_slots[1] + first, count);
    });
  }

 private:
  const Job& job_;
};

}  // namespace

std::unique_ptr<Optimizer> MakeCpuAdamW(const Job& job) {
  return std::make_unique<CpuAdamW>(job);
}

}  // namespace tessera
