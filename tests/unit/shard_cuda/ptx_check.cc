// What nvcc made of the kernels: that nothing was fused or made approximate, on
// which "the same bits" rests, and that memory is read 16 bytes at a time.

#include <catch2/catch.hpp>
#include <string>

#include "common/base/file.h"
#include "tests/support/status.h"

namespace tessera {
namespace {

using Catch::Contains;

std::string Ptx(const std::string& kernel) {
  const auto text = ReadFile("server/shard/cuda/" + kernel + "_kernel.ptx");
  REQUIRE_OK(text);
  REQUIRE_THAT(*text, Contains("add.rn.f32"));
  return *text;
}

TEST_CASE("no kernel fuses, flushes or approximates") {
  const std::string kernel = GENERATE("fold", "sgd", "adamw");
  const std::string ptx = Ptx(kernel);
  for (const char* word : {"fma.", "mad.f32", ".ftz", ".approx", "div.full",
                           "sqrt.full", ".f64"}) {
    CAPTURE(kernel, word);
    REQUIRE_THAT(ptx, !Contains(word));
  }
}

TEST_CASE("divisions and square roots are IEEE's") {
  REQUIRE_THAT(Ptx("sgd"), Contains("div.rn.f32"));
  REQUIRE_THAT(Ptx("adamw"), Contains("div.rn.f32") && Contains("sqrt.rn.f32"));
}

TEST_CASE("memory is read and written 16 bytes at a time") {
  const std::string kernel = GENERATE("fold", "sgd", "adamw");
  CAPTURE(kernel);
  REQUIRE_THAT(Ptx(kernel),
               Contains("ld.global.v4.f32") || Contains("ld.global.v4.b32"));
  REQUIRE_THAT(Ptx(kernel),
               Contains("st.global.v4.f32") || Contains("st.global.v4.b32"));
}

}  // namespace
}  // namespace tessera
