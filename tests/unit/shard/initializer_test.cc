#include "server/shard/initializer.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <vector>

#include "tests/support/status.h"

namespace tessera {
namespace {

Layout TestLayout() {
  auto layout = Layout::Create({{.name = "w1",
                                 .shape = {30, 40},
                                 .initializer = Initializer::kUniform,
                                 .scale = 0.5f},
                                {.name = "b1", .shape = {30}},
                                {.name = "w2",
                                 .shape = {7, 30},
                                 .initializer = Initializer::kUniform,
                                 .scale = 3}});
  REQUIRE_OK(layout);
  return *layout;
}

std::vector<float> DrawAll(const Layout& layout, uint64_t seed) {
  std::vector<float> values(static_cast<size_t>(layout.total_elements()));
  DrawParameters(layout, seed, 0, absl::MakeSpan(values));
  return values;
}

TEST_CASE("every way to cut the vector draws the same values") {
  const Layout layout = TestLayout();
  const std::vector<float> whole = DrawAll(layout, 5);
  const size_t piece = GENERATE(1, 7, 64, 1000, 1439, 1440);
  std::vector<float> values(whole.size());
  for (size_t first = 0; first < values.size(); first += piece) {
    DrawParameters(
        layout, 5, static_cast<int64_t>(first),
        absl::MakeSpan(values).subspan(first, std::min(piece, whole.size())));
  }
  REQUIRE(values == whole);
}

TEST_CASE("each tensor is drawn as it asks") {
  const std::vector<float> values = DrawAll(TestLayout(), 5);
  const auto check = [&](size_t begin, size_t end, float scale) {
    double sum = 0;
    float most = 0;
    for (size_t i = begin; i < end; ++i) {
      REQUIRE(values[i] >= -scale);
      REQUIRE(values[i] < scale);
      sum += values[i];
      most = std::max(most, std::abs(values[i]));
    }
    const auto count = static_cast<double>(end - begin);
    // Five standard deviations of the mean.
    REQUIRE(std::abs(sum / count) < 5 * scale / std::sqrt(3 * count));
    REQUIRE(most > 0.9f * scale);
  };
  check(0, 1200, 0.5f);
  check(1230, 1440, 3);
  REQUIRE(std::all_of(values.begin() + 1200, values.begin() + 1230,
                      [](float value) { return value == 0; }));
}

TEST_CASE("the seed decides, and the values never change") {
  REQUIRE(DrawAll(TestLayout(), 5) == DrawAll(TestLayout(), 5));
  const std::vector<float> five = DrawAll(TestLayout(), 5);
  const std::vector<float> six = DrawAll(TestLayout(), 6);
  int equal = 0;
  for (size_t i = 0; i < 1200; ++i) equal += five[i] == six[i] ? 1 : 0;
  REQUIRE(equal < 3);
}

}  // namespace
}  // namespace tessera
