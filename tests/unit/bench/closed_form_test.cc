// The values that runs must end with.

#include "worker/bench/closed_form.h"

#include <catch2/catch.hpp>
#include <limits>
#include <vector>

#include "common/plan/reduction_tree.h"
#include "common/tensor/bfloat16.h"
#include "tests/support/status.h"
#include "worker/bench/bench_job.h"

namespace tessera::bench {
namespace {

// Plain SGD, step by step, as the servers do it.
std::vector<float> Simulate(int workers, float unit, int64_t first,
                            size_t count, int64_t steps) {
  const ClosedForm form(workers, unit, v1::ENCODING_FLOAT32);
  std::vector<float> sum(count);
  std::vector<float> gradient(count);
  for (int w = 0; w < workers; ++w) {
    form.FillGradient(w, first, absl::MakeSpan(gradient));
    for (size_t i = 0; i < count; ++i) sum[i] += gradient[i];
  }
  std::vector<float> x(count);
  for (int64_t t = 0; t < steps; ++t) {
    for (size_t i = 0; i < count; ++i) x[i] -= unit * sum[i];
  }
  return x;
}

TEST_CASE("the closed form is what SGD gives, to the bit") {
  const int workers = GENERATE(1, 2, 3, 8);
  const int64_t first = GENERATE(0, 1000, ClosedForm::kPeriod - 1);
  const int64_t steps = GENERATE(0, 1, 77);
  const float unit = 1.0f / static_cast<float>(MicrobatchesFor(workers));
  CAPTURE(workers, first, steps);
  ClosedForm form(workers, unit, v1::ENCODING_FLOAT32);
  const auto x = Simulate(workers, unit, first, 9000, steps);
  REQUIRE_OK(form.Check(first, x, steps));
  REQUIRE(form.Expected(first + 8999, steps) == x[8999]);
}

TEST_CASE("one wrong bit is found, and named") {
  ClosedForm form(2, 0.5f, v1::ENCODING_FLOAT32);
  auto x = Simulate(2, 0.5f, 0, 10000, 5);
  const size_t at = GENERATE(0, 1, 4092, 4093, 9999);
  x[at] = std::nextafter(x[at], std::numeric_limits<float>::infinity());
  REQUIRE_THAT(form.Check(0, x, 5),
               IsError(absl::StatusCode::kDataLoss,
                       absl::StrCat("element ", at), "after 5 steps"));
}

TEST_CASE("neighbouring blocks, steps and workers are told apart") {
  ClosedForm form(1, 1, v1::ENCODING_FLOAT32);
  const auto x = Simulate(1, 1, 0, 4096, 5);
  const auto one_later = Simulate(1, 1, 1, 4096, 5);
  REQUIRE_FALSE(form.Check(0, one_later, 5).ok());
  for (int64_t blocks = 1; blocks < 100; ++blocks) {
    REQUIRE_FALSE(form.Check(blocks * 1024, x, 5).ok());
  }
  REQUIRE_FALSE(form.Check(0, x, 6).ok());
  std::vector<float> a(4096);
  std::vector<float> b(4096);
  form.FillGradient(0, 0, absl::MakeSpan(a));
  form.FillGradient(1, 0, absl::MakeSpan(b));
  REQUIRE(a != b);
}

TEST_CASE("rows that are kept do not mix up") {
  ClosedForm form(1, 1, v1::ENCODING_FLOAT32);
  for (int64_t steps : {1, 5, 1, 9, 5, 2, 6, 2}) {
    REQUIRE_OK(form.Check(0, Simulate(1, 1, 0, 5000, steps), steps));
  }
}

TEST_CASE("NaN, which memory is filled with beforehand, is never right") {
  ClosedForm form(1, 1, v1::ENCODING_FLOAT32);
  const std::vector<float> x(10, std::numeric_limits<float>::quiet_NaN());
  REQUIRE_FALSE(form.Check(0, x, 0).ok());
}

TEST_CASE("values are exact up to the last step that is allowed") {
  ClosedForm form(16, 1.0f / 16, v1::ENCODING_FLOAT32);
  REQUIRE(form.max_steps() > 100000);
  for (int64_t i = 0; i < ClosedForm::kPeriod; ++i) {
    const float last = form.Expected(i, form.max_steps());
    const float before = form.Expected(i, form.max_steps() - 1);
    const float step = form.Expected(i, 1);
    REQUIRE(before + step == last);
    REQUIRE(last - before == step);
  }
}

TEST_CASE("what comes as bfloat16 is compared with the right value rounded") {
  ClosedForm form(1, 1, v1::ENCODING_BFLOAT16);
  auto x = Simulate(1, 1, 0, 5000, 1001);
  REQUIRE_FALSE(form.Check(0, x, 1001).ok());
  for (float& value : x) value = FromBfloat16(ToBfloat16(value));
  REQUIRE_OK(form.Check(0, x, 1001));
}

TEST_CASE("all workers' ranges together are all microbatches, each a node") {
  for (int workers = 1; workers <= 33; ++workers) {
    CAPTURE(workers);
    const ReductionTree tree(MicrobatchesFor(workers));
    int next = 0;
    for (int w = 0; w < workers; ++w) {
      const MicrobatchRange range = RangeOf(w, workers);
      REQUIRE(tree.IsNode(range));
      REQUIRE(range.begin == next);
      next = range.end;
    }
    REQUIRE(next == tree.microbatches());
  }
}

Setting SmallSetting() {
  return {.message_bytes = 4096, .blocks = 6, .shape = {3, 2}};
}

TEST_CASE("the benchmark's job has exactly the parameters asked for") {
  for (int64_t bytes : {64, 4096, 4160, 1 << 20, 64 << 20}) {
    CAPTURE(bytes);
    Setting setting = SmallSetting();
    setting.message_bytes = bytes;
    const auto job = MakeBenchJob(setting);
    REQUIRE_OK(job);
    REQUIRE(job->layout().total_elements() == setting.elements());
    REQUIRE(job->block_bytes() == bytes);
    REQUIRE(job->microbatches() == 4);
    REQUIRE_OK(CheckClosedForm(*job, 3));
    REQUIRE_FALSE(CheckClosedForm(*job, 5).ok());
  }
}

TEST_CASE("jobs for which the closed form does not hold are refused") {
  const auto good = MakeBenchJob(SmallSetting());
  REQUIRE_OK(good);
  const auto refused = [&](auto change, const char* word) {
    v1::Job proto = good->proto();
    change(proto);
    const auto job = Job::Create(proto);
    REQUIRE_OK(job);
    REQUIRE_THAT(CheckClosedForm(*job, 3),
                 IsError(absl::StatusCode::kFailedPrecondition, word));
  };
  refused([](v1::Job& j) { j.mutable_optimizer()->mutable_adamw(); }, "sgd");
  refused(
      [](v1::Job& j) {
        j.mutable_optimizer()->mutable_sgd()->set_momentum(0.5f);
      },
      "momentum");
  refused([](v1::Job& j) { j.mutable_optimizer()->set_weight_decay(1); },
          "decay");
  refused([](v1::Job& j) { j.mutable_learning_rate()->set_base(0.1f); },
          "power of two");
  refused([](v1::Job& j) { j.mutable_wire()->set_push(v1::ENCODING_BFLOAT16); },
          "encoding");
}

}  // namespace
}  // namespace tessera::bench
