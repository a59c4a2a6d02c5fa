// Each optimizer against the formulas of job.proto in double precision.

#include "server/shard/optimizer.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <vector>

#include "common/device/make_device.h"
#include "common/tensor/bfloat16.h"
#include "server/shard/kernels.h"
#include "server/shard/update_rule.h"
#include "tests/support/status.h"
#include "tests/support/test_job.h"
#include "tests/unit/shard/test_shards.h"

namespace tessera {
namespace {

constexpr int kMicrobatches = 3;
constexpr double kRate = 0.05;

// One parameter under the job's optimizer, written plainly.
class Reference {
 public:
  Reference(const v1::Optimizer& optimizer, double x)
      : optimizer_(optimizer), x_(x) {}

  double x() const { return x_; }

  void Step(double gradient_sum, int64_t step) {
    const double decay = optimizer_.weight_decay();
    const double clip = optimizer_.clip_element();
    const bool is_decoupled =
        optimizer_.has_adamw() || optimizer_.decoupled_weight_decay();
    double g = gradient_sum / kMicrobatches;
    if (clip > 0) g = std::clamp(g, -clip, clip);
    if (!is_decoupled) g += decay * x_;
    const double change = optimizer_.has_adamw() ? AdamW(g, step) : Sgd(g);
    if (is_decoupled) x_ -= kRate * decay * x_;
    x_ -= kRate * change;
  }

 private:
  double Sgd(double g) {
    const double momentum = optimizer_.sgd().momentum();
    if (momentum == 0) return g;
    v_ = momentum * v_ + g;
    return optimizer_.sgd().nesterov() ? g + momentum * v_ : v_;
  }

  double AdamW(double g, int64_t step) {
    const v1::AdamW& a = optimizer_.adamw();
    const auto t = static_cast<double>(step + 1);
    m_ = a.beta1() * m_ + (1 - a.beta1()) * g;
    v_ = a.beta2() * v_ + (1 - a.beta2()) * g * g;
    const double m_hat = m_ / (1 - std::pow(a.beta1(), t));
    const double v_hat = v_ / (1 - std::pow(a.beta2(), t));
    return m_hat / (std::sqrt(v_hat) + a.epsilon());
  }

  const v1::Optimizer optimizer_;
  double x_;
  double m_ = 0;
  double v_ = 0;
};

TEST_CASE("every optimizer follows its formula") {
  const std::string optimizer = GENERATE(
      "sgd {}", "sgd {} weight_decay: 0.1",
      "sgd {} weight_decay: 0.1 decoupled_weight_decay: true",
      "sgd {} clip_element: 0.3", "sgd { momentum: 0.9 }",
      "sgd { momentum: 0.9 } weight_decay: 0.1",
      "sgd { momentum: 0.9 } weight_decay: 0.1 decoupled_weight_decay: true",
      "sgd { momentum: 0.9 nesterov: true }",
      "sgd { momentum: 0.8 nesterov: true } weight_decay: 0.1 "
      "clip_element: 0.5",
      "adamw {}", "adamw {} weight_decay: 0.1 clip_element: 0.7",
      "adamw { beta1: 0.5 beta2: 0.8 epsilon: 0.01 }");
  CAPTURE(optimizer);
  constexpr int kElements = 37;
  const Job job = MakeTestJob({.parameters = kElements,
                               .microbatches = kMicrobatches,
                               .optimizer = optimizer,
                               .learning_rate = "base: 0.05"});
  std::vector<float> initial = TestGradient(99, 0, kElements);
  TestShards shards(job, MakeTestPlan(job, 1), initial);
  std::vector<Reference> references;
  for (float x : initial) {
    references.emplace_back(job.proto().optimizer(), x);
  }
  for (int64_t step = 0; step < 25; ++step) {
    std::vector<double> sum(kElements);
    for (int m = 0; m < kMicrobatches; ++m) {
      const auto gradient = TestGradient(step, m, kElements);
      for (size_t i = 0; i < sum.size(); ++i) sum[i] += gradient[i];
      shards.PushAll(step, {m, m + 1}, gradient);
    }
    const std::vector<float> parameters = shards.Parameters();
    for (size_t i = 0; i < references.size(); ++i) {
      references[i].Step(sum[i], step);
      CAPTURE(step, i);
      REQUIRE(parameters[i] ==
              Approx(references[i].x()).epsilon(1e-4).margin(2e-3));
    }
  }
}

TEST_CASE("one step of each, by hand") {
  struct Case {
    std::string optimizer;
    float expected;
  };
  // x = 2, mean gradient 4, rate 0.5, first step.
  const Case c = GENERATE(values<Case>(
      {{"sgd {}", 0.0f},
       {"sgd {} clip_element: 1", 1.5f},
       {"sgd {} weight_decay: 0.5", -0.5f},  // g = 4 + 1
       {"sgd {} weight_decay: 0.5 decoupled_weight_decay: true", -0.5f},
       {"sgd { momentum: 0.5 }", 0.0f},                  // v = 4
       {"sgd { momentum: 0.5 nesterov: true }", -1.0f},  // 4 + 0.5 * 4
       {"adamw {}", 1.5f},                               // Moves by the rate.
       {"adamw {} weight_decay: 0.5", 1.0f}}));
  CAPTURE(c.optimizer);
  const Job job = MakeTestJob({.parameters = 2,
                               .microbatches = 2,
                               .optimizer = c.optimizer,
                               .learning_rate = "base: 0.5"});
  TestShards shards(job, MakeTestPlan(job, 1), std::vector<float>{2, 2});
  shards.PushAll(0, {0, 1}, {1, 1});
  shards.PushAll(0, {1, 2}, {7, 7});
  REQUIRE(shards.Parameters()[1] == Approx(c.expected).margin(1e-6));
}

TEST_CASE("vectors of any length get the bits of the rule, one by one") {
  const int elements = GENERATE(2, 15, 16, 17, 33, 100, 2049, 5000);
  const int terms = GENERATE(0, 1, 3, 6);
  CAPTURE(elements, terms);
  const auto n = static_cast<size_t>(elements);
  const Job job = MakeTestJob({.parameters = elements,
                               .microbatches = kMicrobatches,
                               .optimizer = "adamw {} weight_decay: 0.01"});
  const auto device = *MakeDevice("cpu");
  const auto kernels = MakeKernels(job, *device);
  REQUIRE_OK(kernels);
  std::vector<float> sum = TestGradient(0, 0, elements);
  const std::vector<float> payload = sum;
  const std::vector<float> x = TestGradient(1, 0, elements);
  const std::vector<float> m = TestGradient(2, 0, elements);
  std::vector<float> v = TestGradient(3, 0, elements);
  for (float& value : v) value = std::abs(value);
  std::vector<std::vector<float>> held;
  for (int k = 0; k < terms; ++k) {
    held.push_back(TestGradient(4, k, elements));
    for (size_t i = 0; i < n; ++i) sum[i] += held.back()[i];
  }
  std::vector<float> new_x(n), new_m(n), new_v(n);
  BlockUpdate update{.step = 5,
                     .parameters = x.data(),
                     .new_parameters = new_x.data(),
                     .slots = {m.data(), v.data()},
                     .new_slots = {new_m.data(), new_v.data()}};
  update.gradient.payload = FragmentedBytes::OfFloats(payload);
  for (const auto& term : held) update.gradient.held.push_back(term.data());
  REQUIRE(*kernels->optimizer->Apply(update));
  const AdamWRule rule = MakeAdamWRule(job, 5);
  for (size_t i = 0; i < n; ++i) {
    float one_m, one_v;
    CAPTURE(i);
    REQUIRE(new_x[i] == rule.Update(sum[i], x[i], m[i], v[i], one_m, one_v));
    REQUIRE(new_m[i] == one_m);
    REQUIRE(new_v[i] == one_v);
  }
}

// An update of 100 elements from a payload, with arrays of its own.
struct Update {
  static constexpr int kElements = 100;

  Update(const Kernels& kernels, const FragmentedBytes& payload,
         v1::Encoding encoding)
      : slots(2 * kElements, 0.25f), new_slots(slots.size()) {
    update.gradient.payload = payload;
    update.gradient.encoding = encoding;
    update.gradient.held.push_back(held.data());
    update.parameters = x.data();
    update.new_parameters = new_x.data();
    for (int k = 0; k < kernels.optimizer->slot_count(); ++k) {
      update.slots.push_back(slots.data() + k * kElements);
      update.new_slots.push_back(new_slots.data() + k * kElements);
    }
  }

  const std::vector<float> held = TestGradient(2, 0, kElements);
  const std::vector<float> x = TestGradient(1, 0, kElements);
  std::vector<float> new_x = std::vector<float>(kElements);
  std::vector<float> slots, new_slots;
  BlockUpdate update{.step = 3};
};

std::string AnyOptimizer() {
  return GENERATE("sgd {}", "sgd { momentum: 0.9 nesterov: true }", "adamw {}");
}

TEST_CASE("a bfloat16 payload gives the bits of the float32 it stands for") {
  const Job job = MakeTestJob(
      {.parameters = Update::kElements, .optimizer = AnyOptimizer()});
  const auto device = *MakeDevice("cpu");
  const Kernels kernels = *MakeKernels(job, *device);
  const std::vector<float> exact = TestGradient(0, 0, Update::kElements);
  std::vector<uint8_t> rounded(exact.size() * kBfloat16Bytes);
  RoundToBfloat16(exact, rounded.data());
  std::vector<float> values(exact.size());
  ExpandBfloat16(FragmentedBytes(rounded), values.data());

  Update a(kernels, FragmentedBytes(rounded), v1::ENCODING_BFLOAT16);
  Update b(kernels, FragmentedBytes::OfFloats(values), v1::ENCODING_FLOAT32);
  REQUIRE(*kernels.optimizer->Apply(a.update));
  REQUIRE(*kernels.optimizer->Apply(b.update));
  REQUIRE(a.new_x == b.new_x);
  REQUIRE(a.new_slots == b.new_slots);
}

TEST_CASE("every optimizer tells when its gradient is not finite") {
  const Job job = MakeTestJob(
      {.parameters = Update::kElements, .optimizer = AnyOptimizer()});
  const auto device = *MakeDevice("cpu");
  const Kernels kernels = *MakeKernels(job, *device);
  std::vector<float> gradient(Update::kElements, 1);
  const size_t at = GENERATE(0, 15, 99);
  gradient[at] = GENERATE(values<float>({INFINITY, -INFINITY, NAN}));
  CAPTURE(at, gradient[at]);
  Update bad(kernels, FragmentedBytes::OfFloats(gradient),
             v1::ENCODING_FLOAT32);
  REQUIRE_FALSE(*kernels.optimizer->Apply(bad.update));
}

}  // namespace
}  // namespace tessera
