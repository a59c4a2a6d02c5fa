// Initial parameters.

#ifndef TESSERA_SERVER_SHARD_INITIALIZER_H_
#define TESSERA_SERVER_SHARD_INITIALIZER_H_

#include <cstdint>

#include "absl/types/span.h"
#include "common/tensor/layout.h"

namespace tessera {

// Draws elements [first, first + values.size()) of the flat vector, each as its
// tensor asks. Element i is a pure function of (layout, seed, i), so every way
// to cut the vector gives the same parameters:
//   uniform:  (2 u - 1) * scale,  u = Philox(seed, kParameters).Uniform(i)
void DrawParameters(const Layout& layout, uint64_t seed, int64_t first,
                    absl::Span<float> values);

}  // namespace tessera

#endif  // TESSERA_SERVER_SHARD_INITIALIZER_H_
