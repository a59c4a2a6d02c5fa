#include "common/device/make_device.h"

#include "tests/support/status.h"

namespace tessera {
namespace {

TEST_CASE("cpu and auto give the processor") {
  const std::string name = GENERATE("cpu", "auto");
  const auto device = MakeDevice(name);
  REQUIRE_OK(device);
  REQUIRE((*device)->kind() == DeviceKind::kCpu);
  REQUIRE((*device)->name() == "cpu");
}

TEST_CASE("cuda says that this build has none") {
  REQUIRE_ERROR(MakeDevice("cuda"), absl::StatusCode::kFailedPrecondition,
                "cuda", "this build has no CUDA", "--config=cuda",
                "use cpu or auto");
}

TEST_CASE("other names are refused, with those there are") {
  REQUIRE_ERROR(MakeDevice("tpu"), absl::StatusCode::kInvalidArgument, "tpu",
                "auto, cpu, cuda");
  REQUIRE_ERROR(MakeDevice(""), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace tessera
