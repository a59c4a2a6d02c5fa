#include "worker/model/loss.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <vector>

#include "common/base/philox.h"
#include "tests/unit/model/reference_network.h"

namespace tessera {
namespace {

std::vector<float> Normals(size_t count, float scale) {
  const Philox random(21, RandomStream::kGeneratedData);
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = scale * random.Normal(i);
  return values;
}

// The central difference of a loss of double values by value i.
template <typename Loss>
double Difference(std::vector<double> x, size_t i, Loss loss) {
  constexpr double kStep = 1e-5;
  const double kept = x[i];
  x[i] = kept + kStep;
  const double above = loss(x);
  x[i] = kept - kStep;
  return (above - loss(x)) / (2 * kStep);
}

TEST_CASE("softmax cross-entropy by hand") {
  const std::vector<float> x = {0, 0, 1, 3, 1, 1};
  std::vector<float> gradient(6);
  const LossResult loss = SoftmaxCrossEntropy(x, std::vector<int32_t>{1, 0},
                                              absl::MakeSpan(gradient));
  const double z = 2 + std::exp(1.0);
  const double e2 = 1 + 2 * std::exp(-2.0);
  REQUIRE(loss.sum == Approx(std::log(z) + std::log(e2)).epsilon(1e-14));
  REQUIRE(loss.correct == 1);
  REQUIRE(gradient[0] == Approx(1 / z / 2));
  REQUIRE(gradient[1] == Approx((1 / z - 1) / 2));
  REQUIRE(gradient[3] == Approx((1 / e2 - 1) / 2));
}

TEST_CASE("softmax cross-entropy's gradient is its slope") {
  const float scale = GENERATE(0.1f, 3.f, 20.f);
  const std::vector<int32_t> labels = {0, 4, 2, 2};
  const std::vector<float> x = Normals(20, scale);
  std::vector<float> gradient(20);
  const LossResult loss =
      SoftmaxCrossEntropy(x, labels, absl::MakeSpan(gradient));
  const auto reference = [&](const std::vector<double>& v) {
    return ReferenceSoftmaxCrossEntropy(v, labels);
  };
  const std::vector<double> exact(x.begin(), x.end());
  REQUIRE(loss.sum == Approx(4 * reference(exact)).epsilon(1e-12));
  for (size_t i = 0; i < 20; ++i) {
    REQUIRE(gradient[i] ==
            Approx(Difference(exact, i, reference)).epsilon(1e-6).margin(1e-9));
  }
}

TEST_CASE("outputs far apart neither overflow nor vanish") {
  constexpr float kHuge = 3e38f;
  std::vector<float> gradient(4);
  const std::vector<float> x = {kHuge, -kHuge, 1000, 0};
  const LossResult loss = SoftmaxCrossEntropy(x, std::vector<int32_t>{0, 1},
                                              absl::MakeSpan(gradient));
  REQUIRE(loss.sum == 1000);
  REQUIRE(loss.correct == 1);
  REQUIRE(gradient == std::vector<float>{0, 0, 0.5f, -0.5f});
}

TEST_CASE("of equal outputs the first counts as the largest") {
  const std::vector<float> x = {1, 1, 0, 1, 1, 0};
  REQUIRE(SoftmaxCrossEntropy(x, std::vector<int32_t>{0, 1}, {}).correct == 1);
}

TEST_CASE("NaN shows") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> x = {0, nan};
  REQUIRE(std::isnan(SoftmaxCrossEntropy(x, std::vector<int32_t>{0}, {}).sum));
  REQUIRE(std::isnan(MeanSquaredError(x, std::vector<float>{0, 0}, 2, {}).sum));
}

TEST_CASE("no samples have no loss") {
  REQUIRE(SoftmaxCrossEntropy({}, {}, {}).sum == 0);
  REQUIRE(MeanSquaredError({}, {}, 3, {}).sum == 0);
}

TEST_CASE("mean squared error by hand, and its slope") {
  const std::vector<float> x = {1, 2, 3, 4};
  const std::vector<float> y = {0, 2, 5, 1};
  std::vector<float> gradient(4);
  const LossResult loss = MeanSquaredError(x, y, 2, absl::MakeSpan(gradient));
  REQUIRE(loss.sum == 0.5 * (1 + 0) + 0.5 * (4 + 9));
  REQUIRE(loss.correct == 0);
  REQUIRE(gradient == std::vector<float>{0.5f, 0, -1, 1.5f});
  const std::vector<double> exact(x.begin(), x.end());
  for (size_t i = 0; i < 4; ++i) {
    REQUIRE(gradient[i] ==
            Approx(Difference(exact, i, [&](const std::vector<double>& v) {
              return ReferenceMeanSquaredError(v, y);
            })).margin(1e-9));
  }
}

}  // namespace
}  // namespace tessera
