#include "common/device/make_device.h"

#include "tests/support/status.h"

namespace tessera {
namespace {

TEST_CASE("cpu gives the processor") {
  const auto device = MakeDevice("cpu");
  REQUIRE_OK(device);
  REQUIRE((*device)->kind() == DeviceKind::kCpu);
  REQUIRE((*device)->name() == "cpu");
}

TEST_CASE("auto gives what cuda gives, or else the processor") {
  // In a build with CUDA, on a machine with a GPU, that is the GPU.
  const auto gpu = MakeDevice("cuda");
  const auto device = MakeDevice("auto");
  REQUIRE_OK(device);
  REQUIRE((*device)->name() == (gpu.ok() ? (*gpu)->name() : "cpu"));
}

TEST_CASE("other names are refused, with those there are") {
  REQUIRE_ERROR(MakeDevice("tpu"), absl::StatusCode::kInvalidArgument, "tpu",
                "auto, cpu, cuda");
  REQUIRE_ERROR(MakeDevice(""), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace tessera
