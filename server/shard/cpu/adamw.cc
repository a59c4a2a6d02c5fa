#include "server/shard/cpu/adamw.h"

#include "common/device/cpu/vectorize.h"
#include "server/shard/cpu/cpu_block_math.h"
#include "server/shard/update_rule.h"

namespace tessera {
namespace {

TESSERA_VECTOR_CLONES
void UpdateTile(const AdamWRule& rule, const float* sum, const float* x,
                const float* m, const float* v, float* new_x, float* new_m,
                float* new_v, size_t count) {
  const AdamWRule r = rule;
  TESSERA_INDEPENDENT_ELEMENTS
  for (size_t i = 0; i < count; ++i) {
    new_x[i] = r.Update(sum[i], x[i], m[i], v[i], new_m[i], new_v[i]);
  }
}

class CpuAdamW final : public Optimizer {
 public:
  explicit CpuAdamW(const Job& job) : job_(job) {}

  int slot_count() const override { return 2; }

  absl::Status Apply(const BlockUpdate& u) const override {
    const AdamWRule rule = MakeAdamWRule(job_, u.step);
    CpuForEachSumTile(
        u.gradient, [&](const float* sum, size_t first, size_t count) {
          UpdateTile(rule, sum, u.parameters + first, u.slots[0] + first,
                     u.slots[1] + first, u.new_parameters + first,
                     u.new_slots[0] + first, u.new_slots[1] + first, count);
        });
    return absl::OkStatus();
  }

 private:
  const Job& job_;
};

}  // namespace

std::unique_ptr<Optimizer> MakeCpuAdamW(const Job& job) {
  return std::make_unique<CpuAdamW>(job);
}

}  // namespace tessera
