#include "server/shard/initializer.h"

#include <algorithm>

#include "common/base/check.h"
#include "common/base/philox.h"

namespace tessera {
namespace {

void Draw(const TensorSpec& tensor, const Philox& random, int64_t first,
          absl::Span<float> values) {
  if (tensor.initializer == Initializer::kZero) {
    std::fill(values.begin(), values.end(), 0.0f);
    return;
  }
  for (size_t i = 0; i < values.size(); ++i) {
    const float u = random.Uniform(static_cast<uint64_t>(first) + i);
    // 2 u - 1 is exact: u is a multiple of 2^-24.
    values[i] = (2.0f * u - 1.0f) * tensor.scale;
  }
}

}  // namespace

void DrawParameters(const Layout& layout, uint64_t seed, int64_t first,
                    absl::Span<float> values) {
  const int64_t last = first + static_cast<int64_t>(values.size());
  TESSERA_CHECK(first >= 0 && last <= layout.total_elements());
  const Philox random(seed, RandomStream::kParameters);
  for (const TensorSpec& tensor : layout.tensors()) {
    const int64_t begin = std::max(first, tensor.offset);
    const int64_t end = std::min(last, tensor.offset + tensor.size);
    if (begin >= end) continue;
    Draw(tensor, random, begin,
         values.subspan(static_cast<size_t>(begin - first),
                        static_cast<size_t>(end - begin)));
  }
}

}  // namespace tessera
