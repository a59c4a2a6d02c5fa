// What nvcc made of the layers' kernels: nothing in them depends on an order
// that the GPU may choose, and nothing is approximate.

#include <catch2/catch.hpp>
#include <string>

#include "common/base/file.h"
#include "tests/support/status.h"

namespace tessera {
namespace {

using Catch::Contains;

TEST_CASE("no kernel uses atomics, shared memory or approximations") {
  const std::string kernels = GENERATE("loss_kernels", "pointwise_kernels",
                                       "pool_kernel", "unfold_kernel");
  const auto ptx = ReadFile("worker/model/cuda/" + kernels + ".ptx");
  REQUIRE_OK(ptx);
  REQUIRE_THAT(*ptx, Contains(".entry"));
  for (const char* word :
       {"atom.", "red.", ".shared", "fma.rn.f32", "mad.f32", ".ftz.f32",
        ".approx.f32", "div.full", "sqrt.full"}) {
    CAPTURE(kernels, word);
    REQUIRE_THAT(*ptx, !Contains(word));
  }
}

}  // namespace
}  // namespace tessera
