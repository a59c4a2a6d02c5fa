// Each layer by itself: values against known answers and the plain reference,
// gradients against central finite differences of the reference.

#include "tests/contract/model/layer_contract.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/philox.h"
#include "tests/contract/model/one_layer.h"
#include "tests/support/status.h"
#include "tests/unit/model/reference_network.h"

namespace tessera {
namespace {

using Floats = std::vector<float>;

Floats Normals(size_t count, uint32_t substream) {
  const Philox random(11, RandomStream::kGeneratedData, substream);
  Floats values(count);
  for (size_t i = 0; i < count; ++i) values[i] = random.Normal(i);
  return values;
}

std::vector<double> Doubles(const Floats& values) {
  return {values.begin(), values.end()};
}

// One layer, run forward and, from a gradient of its outputs, backward.
struct LayerRun {
  Floats outputs;
  Floats input_gradient;
  Floats gradient;  // Of the flat vector; 77 where nobody wrote.
};

LayerRun Run(const ModelPlan& model, const Floats& params, const Floats& inputs,
             const Floats& output_gradient, int samples, uint64_t seed = 0,
             int64_t first_sample = 0) {
  auto stack = MakeStackUnderTest(model, {.samples = samples,
                                          .training = true,
                                          .input_gradient = true,
                                          .seed = seed});
  REQUIRE_OK(stack);
  LayerStack& s = **stack;
  REQUIRE(s.inputs().size() == inputs.size());
  std::copy(inputs.begin(), inputs.end(), s.inputs().begin());
  LayerRun run;
  run.gradient.assign(params.size(), 77);
  REQUIRE_OK(s.Run([&] {
    for (const auto& layer : s.layers()) {
      layer->TakeParameters(params.data());
      layer->Forward(first_sample);
    }
    return absl::OkStatus();
  }));
  run.outputs.assign(s.outputs().begin(), s.outputs().end());
  REQUIRE(s.output_gradient().size() == output_gradient.size());
  std::copy(output_gradient.begin(), output_gradient.end(),
            s.output_gradient().begin());
  REQUIRE_OK(s.Run([&] {
    for (auto layer = s.layers().rbegin(); layer != s.layers().rend();
         ++layer) {
      (*layer)->Backward(run.gradient.data());
    }
    for (const auto& layer : s.layers()) {
      if (layer->has_parameters()) REQUIRE_OK(layer->AwaitGradient());
    }
    return absl::OkStatus();
  }));
  run.input_gradient.assign(s.input_gradient().begin(),
                            s.input_gradient().end());
  return run;
}

// The derivative of sum(weights * outputs) by *x, which must be in `params` or
// `inputs`.
double Difference(const ModelPlan& model, const std::vector<double>& params,
                  const std::vector<double>& inputs, const Floats& weights,
                  int samples, double* x) {
  constexpr double kStep = 1e-4;
  const double kept = *x;
  double difference = 0;
  for (double sign : {1.0, -1.0}) {
    *x = kept + sign * kStep;
    const auto y =
        ReferenceForward(model, params, inputs, {.samples = samples});
    for (size_t i = 0; i < y.size(); ++i) {
      difference += sign * double{weights[i]} * y[i];
    }
  }
  *x = kept;
  return difference / (2 * kStep);
}

// All values; gradients by inputs and by parameters, of up to some 500 elements
// each, a stride apart.
void CheckLayer(const ModelPlan& model, const Floats& inputs, int samples) {
  const auto params =
      Normals(static_cast<size_t>(model.layout.total_elements()), 1);
  const auto weights = Normals(static_cast<size_t>(samples * model.outputs), 2);
  const LayerRun run = Run(model, params, inputs, weights, samples);
  auto exact_params = Doubles(params);
  auto exact_inputs = Doubles(inputs);
  // Sums of up to a few hundred products of order 1.
  const auto near = [](double x) {
    return Approx(x).epsilon(1e-5).margin(2e-5);
  };
  const auto expected =
      ReferenceForward(model, exact_params, exact_inputs, {.samples = samples});
  for (size_t i = 0; i < expected.size(); ++i) {
    CAPTURE(i);
    REQUIRE(run.outputs[i] == near(expected[i]));
  }
  for (size_t i = 0; i < inputs.size(); i += inputs.size() / 500 + 1) {
    CAPTURE(i);
    const double d = Difference(model, exact_params, exact_inputs, weights,
                                samples, &exact_inputs[i]);
    REQUIRE(run.input_gradient[i] == near(d));
  }
  for (size_t i = 0; i < 3; ++i) REQUIRE(run.gradient[i] == 77);
  for (size_t i = 3; i < params.size(); i += params.size() / 500 + 1) {
    CAPTURE(i);
    const double d = Difference(model, exact_params, exact_inputs, weights,
                                samples, &exact_params[i]);
    REQUIRE(run.gradient[i] == near(d));
  }
}

TEST_CASE("convolution by hand: padding, stride, bias, no flipping") {
  const ModelPlan model =
      OneLayer("conv2d { filters: 1 kernel: 2 stride: 2 padding: 1 }",
               {1, 3, 3}, {1, 2, 2});
  // Row-major kernel 1 10 / 100 1000, bias 0.5.
  const Floats params = {0, 0, 0, 1, 10, 100, 1000, 0.5f};
  const Floats inputs = {1, 2, 3, 4, 5, 6, 7, 8, 9};
  const LayerRun run = Run(model, params, inputs, {1, 0, 0, 1}, 1);
  REQUIRE(run.outputs == Floats{1000.5f, 100 * 2 + 1000 * 3 + 0.5f,
                                10 * 4 + 1000 * 7 + 0.5f,
                                5 + 60 + 800 + 9000 + 0.5f});
  REQUIRE(run.gradient == Floats{77, 77, 77, 5, 6, 8, 1 + 9, 2});
  REQUIRE(run.input_gradient == Floats{1000, 0, 0, 0, 1, 10, 0, 100, 1000});
}

TEST_CASE("convolutions of many shapes") {
  struct Case {
    ActivationShape input;
    int filters, kernel, stride, padding, samples;
  };
  const Case c =
      GENERATE(Case{{1, 5, 5}, 2, 3, 1, 1, 2}, Case{{3, 7, 6}, 4, 3, 2, 0, 1},
               Case{{2, 6, 7}, 3, 5, 1, 2, 2}, Case{{16, 6, 5}, 16, 3, 1, 1, 2},
               Case{{17, 4, 4}, 5, 3, 2, 1, 3}, Case{{4, 1, 1}, 8, 1, 1, 0, 5},
               Case{{2, 9, 9}, 3, 4, 3, 3, 1}, Case{{1, 4, 6}, 1, 1, 1, 0, 1},
               Case{{32, 3, 3}, 33, 3, 1, 1, 1});
  const int height = (c.input.height + 2 * c.padding - c.kernel) / c.stride + 1;
  const int width = (c.input.width + 2 * c.padding - c.kernel) / c.stride + 1;
  const std::string layer =
      absl::StrCat("conv2d { filters: ", c.filters, " kernel: ", c.kernel,
                   " stride: ", c.stride, " padding: ", c.padding, " }");
  CAPTURE(layer, c.input.channels);
  CheckLayer(OneLayer(layer, c.input, {c.filters, height, width}),
             Normals(static_cast<size_t>(c.samples * c.input.size()), 3),
             c.samples);
}

TEST_CASE("dense by hand") {
  const ModelPlan model = OneLayer("dense { units: 2 }", {3, 1, 1}, {2, 1, 1});
  const Floats params = {0, 0, 0, 1, 2, 3, 10, 20, 30, 0.5f, -0.5f};
  const LayerRun run = Run(model, params, {1, 1, 2, 0, 1, 0}, {1, 0, 0, 2}, 2);
  REQUIRE(run.outputs == Floats{9.5f, 89.5f, 2.5f, 19.5f});
  REQUIRE(run.gradient == Floats{77, 77, 77, 1, 1, 2, 0, 2, 0, 1, 2});
  REQUIRE(run.input_gradient == Floats{1, 2, 3, 20, 40, 60});
}

TEST_CASE("dense layers of many shapes") {
  const int inputs = GENERATE(1, 3, 16, 50);
  const int units = GENERATE(1, 5, 17);
  const int samples = GENERATE(1, 7);
  CAPTURE(inputs, units, samples);
  CheckLayer(OneLayer(absl::StrCat("dense { units: ", units, " }"),
                      {inputs, 1, 1}, {units, 1, 1}),
             Normals(static_cast<size_t>(samples * inputs), 3), samples);
}

TEST_CASE("flatten keeps channels, rows and columns in order") {
  CheckLayer(OneLayer("flatten {}", {2, 3, 4}, {24, 1, 1}), Normals(2 * 24, 3),
             2);
}

// All different by at least 0.5, in random order, so that no finite difference
// steps over a change of the largest.
Floats Apart(size_t count) {
  Floats values(count);
  const Philox random(12, RandomStream::kGeneratedData);
  for (size_t i = 0; i < count; ++i) {
    values[i] = 0.5f * static_cast<float>(i) - 0.2f * static_cast<float>(count);
    std::swap(values[i], values[random.Below(i, i + 1)]);
  }
  return values;
}

TEST_CASE("max pooling leaves out what fills no window") {
  struct Case {
    ActivationShape input;
    int size, stride;
  };
  const Case c = GENERATE(Case{{1, 4, 4}, 2, 2}, Case{{3, 5, 7}, 2, 2},
                          Case{{16, 5, 5}, 3, 2}, Case{{2, 8, 7}, 2, 3},
                          Case{{5, 3, 3}, 3, 3}, Case{{4, 6, 5}, 1, 2});
  const ActivationShape output = {c.input.channels,
                                  (c.input.height - c.size) / c.stride + 1,
                                  (c.input.width - c.size) / c.stride + 1};
  const std::string layer =
      absl::StrCat("max_pool { size: ", c.size, " stride: ", c.stride, " }");
  CAPTURE(layer, c.input.height, c.input.width);
  CheckLayer(OneLayer(layer, c.input, output),
             Apart(static_cast<size_t>(2 * c.input.size())), 2);
}

TEST_CASE("of equal values the first gets the gradient") {
  const ModelPlan model =
      OneLayer("max_pool { size: 2 stride: 2 }", {1, 2, 2}, {1, 1, 1});
  const LayerRun run = Run(model, {0, 0, 0}, {1, 3, 3, 3}, {5}, 1);
  REQUIRE(run.outputs == Floats{3});
  REQUIRE(run.input_gradient == Floats{0, 5, 0, 0});
}

TEST_CASE("the rectifier by hand, and where it has a slope") {
  const ActivationShape shape = {3, 2, 2};
  const ModelPlan model = OneLayer("relu {}", shape, shape);
  const Floats inputs = {-1, 0, 2, -0.f, 3, -4, 5, 6, -7, 8, 9, 1e-30f};
  const LayerRun run = Run(model, {0, 0, 0}, inputs, Floats(12, 1), 1);
  REQUIRE(run.outputs == Floats{0, 0, 2, 0, 3, 0, 5, 6, 0, 8, 9, 1e-30f});
  REQUIRE(run.input_gradient == Floats{0, 0, 1, 0, 1, 0, 1, 1, 0, 1, 1, 1});
  CheckLayer(model, Apart(24), 2);
}

LayerRun RunDropout(float rate, const ActivationShape& shape, int samples,
                    uint64_t seed, int64_t first_sample) {
  const ModelPlan model =
      OneLayer(absl::StrCat("dropout { rate: ", rate, " }"), shape, shape);
  const size_t count = static_cast<size_t>(samples * shape.size());
  return Run(model, {0, 0, 0}, Floats(count, 1), Floats(count, 1), samples,
             seed, first_sample);
}

TEST_CASE("dropout drops its share and scales the rest") {
  const float rate = GENERATE(0.f, 0.1f, 0.5f, 0.9f);
  const LayerRun run = RunDropout(rate, {10, 10, 10}, 20, 1, 0);
  int dropped = 0;
  for (float y : run.outputs) {
    if (y == 0) {
      ++dropped;
    } else {
      REQUIRE(y == Approx(1 / (1 - double{rate})));
    }
  }
  const double n = 20000;
  REQUIRE(std::abs(dropped - n * rate) <= 5 * std::sqrt(n * rate * (1 - rate)));
  // The same mask on the way back.
  REQUIRE(run.input_gradient == run.outputs);
}

TEST_CASE("a sample's mask depends on seed and number, not on its batch") {
  // Not a multiple of the four places that one random draw serves.
  const ActivationShape shape = {7, 3, 1};
  const Floats whole = RunDropout(0.5f, shape, 12, 5, 100).outputs;
  Floats pieces;
  for (int64_t first : {100, 104, 108}) {
    const Floats piece = RunDropout(0.5f, shape, 4, 5, first).outputs;
    pieces.insert(pieces.end(), piece.begin(), piece.end());
  }
  REQUIRE(pieces == whole);
  REQUIRE(RunDropout(0.5f, shape, 12, 5, 112).outputs != whole);
  REQUIRE(RunDropout(0.5f, shape, 12, 6, 100).outputs != whole);
}

TEST_CASE("outside training dropout does nothing") {
  const ActivationShape shape = {7, 3, 1};
  const ModelPlan model = OneLayer("dropout { rate: 0.9 }", shape, shape);
  const auto stack = MakeStackUnderTest(model, {.samples = 2});
  REQUIRE_OK(stack);
  LayerStack& s = **stack;
  const Floats inputs = Normals(s.inputs().size(), 3);
  std::copy(inputs.begin(), inputs.end(), s.inputs().begin());
  REQUIRE_OK(s.Run([&] {
    for (const auto& layer : s.layers()) layer->Forward(0);
    return absl::OkStatus();
  }));
  REQUIRE(Floats(s.outputs().begin(), s.outputs().end()) == inputs);
}

// The dropout mask is drawn from the job's seed alone, so it is the same on
// every device: 1 where a place is kept, by the generator itself.
TEST_CASE("dropout's mask is that of the generator") {
  const ActivationShape shape = {3, 2, 3};
  constexpr uint64_t kSeed = 0x123456789abcdef0;
  constexpr int64_t kFirst = 1000;
  const LayerRun run = RunDropout(0.5f, shape, 2, kSeed, kFirst);
  const Philox random(kSeed, RandomStream::kDropout, 0);
  constexpr uint64_t kDraws = 5;  // Of four words, for 18 places.
  for (size_t i = 0; i < 36; ++i) {
    CAPTURE(i);
    const size_t place = i % 18;
    const auto words = random.Words((kFirst + i / 18) * kDraws + place / 4);
    REQUIRE(run.outputs[i] == (words[place % 4] < 0x80000000u ? 0 : 2));
  }
}

TEST_CASE("many samples, and an image of several channels, keep their places") {
  // What a layer in the middle needs: a flat one between spatial ones, and a
  // convolution whose windows leave gaps.
  CheckLayer(OneLayer("conv2d { filters: 2 kernel: 1 stride: 3 }", {3, 7, 8},
                      {2, 3, 3}),
             Normals(5 * 3 * 7 * 8, 3), 5);
}

TEST_CASE("what does not fit in memory is an error") {
  const ActivationShape huge = {1 << 20, 1 << 10, 1 << 10};
  REQUIRE_ERROR(
      MakeStackUnderTest(OneLayer("max_pool { size: 1 stride: 1 }", huge, huge),
                         {.samples = 1 << 20}),
      absl::StatusCode::kResourceExhausted);
}

TEST_CASE("so is a convolution's input that does not") {
  const ActivationShape huge = {1, 1 << 15, 1 << 15};
  REQUIRE_ERROR(MakeStackUnderTest(
                    OneLayer("conv2d { filters: 1 kernel: 1 }", huge, huge),
                    {.samples = 1 << 20, .training = true}),
                absl::StatusCode::kResourceExhausted);
}

TEST_CASE("an error names its layer") {
  // 2^24 inputs fit; 2^48 outputs are beyond any address space.
  REQUIRE_ERROR(
      MakeStackUnderTest(OneLayer("dense {}", {1, 1, 1}, {1 << 24, 1, 1}),
                         {.samples = 1 << 24, .training = true}),
      absl::StatusCode::kResourceExhausted, "layer layer: ");
}

TEST_CASE("an error from a pass is the pass's") {
  const ModelPlan model = OneLayer("dense { units: 2 }", {3, 1, 1}, {2, 1, 1});
  auto stack = MakeStackUnderTest(model, {.samples = 1});
  REQUIRE_OK(stack);
  REQUIRE_ERROR((*stack)->Run([] { return absl::AbortedError("called back"); }),
                absl::StatusCode::kAborted, "called back");
  REQUIRE_OK((*stack)->Run([] { return absl::OkStatus(); }));
}

}  // namespace
}  // namespace tessera
