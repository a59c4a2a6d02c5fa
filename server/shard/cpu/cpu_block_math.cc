#include "server/shard/cpu/cpu_block_math.h"

#include <cstring>

#include "common/device/cpu/vectorize.h"

namespace tessera {
namespace {

class CpuBlockMath final : public BlockMath {
 public:
  absl::Status Fold(const GradientSum& sum, float* out) const override {
    ForEachFloatRun(sum.payload,
                    [&](const uint8_t* payload, size_t first, size_t count) {
                      // Several passes over a piece are cheap while the piece
                      // stays in a cache.
                      constexpr size_t kPiece = 2048;
                      for (size_t done = 0; done < count; done += kPiece) {
                        const size_t n = std::min(kPiece, count - done);
                        CpuFoldRun(sum, payload + done * sizeof(float),
                                   first + done, n, out + first + done);
                      }
                    });
    return absl::OkStatus();
  }
};

}  // namespace

std::unique_ptr<BlockMath> MakeCpuBlockMath() {
  return std::make_unique<CpuBlockMath>();
}

TESSERA_VECTOR_CLONES
void CpuAddPayload(const uint8_t* payload, const float* held, float* out,
                   size_t count) {
  TESSERA_INDEPENDENT_ELEMENTS
  for (size_t i = 0; i < count; ++i) {
    float value;
    std::memcpy(&value, payload + i * sizeof(value), sizeof(value));
    out[i] = value + held[i];
  }
}

TESSERA_VECTOR_CLONES
void CpuAddInto(const float* held, float* sum, size_t count) {
  TESSERA_INDEPENDENT_ELEMENTS
  for (size_t i = 0; i < count; ++i) sum[i] = sum[i] + held[i];
}

void CpuFoldRun(const GradientSum& sum, const uint8_t* payload, size_t first,
                size_t count, float* out) {
  if (sum.held.empty()) {
    std::memcpy(out, payload, count * sizeof(float));
    return;
  }
  CpuAddPayload(payload, sum.held[0] + first, out, count);
  for (size_t k = 1; k < sum.held.size(); ++k) {
    CpuAddInto(sum.held[k] + first, out, count);
  }
}

}  // namespace tessera
