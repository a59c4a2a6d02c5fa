#include "worker/model/cpu/relu.h"

#include <cstddef>

#include "absl/types/span.h"

namespace tessera {

void Relu::Forward(int64_t) {
  if (applied_) return;
  for (float& x : ValuesOf(activation_.value)) x = x < 0 ? 0 : x;
}

void Relu::Backward(float*) {
  const absl::Span<const float> y = ValuesOf(activation_.value);
  const absl::Span<float> gradient = ValuesOf(activation_.gradient);
  for (size_t i = 0; i < gradient.size(); ++i) {
    gradient[i] = y[i] > 0 ? gradient[i] : 0;
  }
}

}  // namespace tessera
