// What builds without CUDA say when they are asked for it.

#include "common/device/cuda/cuda_device.h"
#include "tests/support/status.h"

namespace tessera {
namespace {

TEST_CASE("a build without CUDA says so, and how to get it") {
  REQUIRE_ERROR(MakeCudaDevice(), absl::StatusCode::kFailedPrecondition,
                "device cuda: this build has no CUDA", "--config=cuda",
                "use cpu or auto");
}

}  // namespace
}  // namespace tessera
