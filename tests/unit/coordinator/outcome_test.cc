#include <catch2/catch.hpp>
#include <cmath>

#include "server/coordinator/evaluation_tally.h"
#include "server/coordinator/history.h"
#include "server/coordinator/stop_rules.h"

namespace tessera {
namespace {

constexpr int64_t kMaxSteps = 100;

StopRules Rules(const v1::Stop& stop) { return StopRules(stop, kMaxSteps); }

TEST_CASE("without targets a job ends with its steps") {
  StopRules rules = Rules({});
  const EvaluationResult perfect{.loss = 0, .accuracy = 1};
  REQUIRE(rules.AfterEvaluation(99, perfect) == v1::END_REASON_UNSPECIFIED);
  REQUIRE(rules.AfterEvaluation(100, perfect) == v1::END_REASON_STEPS);
}

TEST_CASE("an accuracy equal to its target reaches it, as a float") {
  v1::Stop stop;
  const float target = GENERATE(0.1f, 0.3f, 0.7f, 0.9f, 1.0f);
  stop.set_target_accuracy(target);
  // As it comes from counting: 0.1 is below 0.1f in double.
  const double reached = std::round(target * 10) / 10;
  StopRules rules = Rules(stop);
  REQUIRE(rules.AfterEvaluation(1, {.loss = 1, .accuracy = reached - 0.01}) ==
          v1::END_REASON_UNSPECIFIED);
  REQUIRE(rules.AfterEvaluation(2, {.loss = 1, .accuracy = reached}) ==
          v1::END_REASON_TARGET_ACCURACY);
}

TEST_CASE("a loss equal to its target reaches it, as a float") {
  v1::Stop stop;
  stop.set_target_loss(0.7f);  // Below the double 0.7.
  StopRules rules = Rules(stop);
  REQUIRE(rules.AfterEvaluation(1, {.loss = 0.70001}) ==
          v1::END_REASON_UNSPECIFIED);
  REQUIRE(rules.AfterEvaluation(2, {.loss = 0.7}) ==
          v1::END_REASON_TARGET_LOSS);
}

v1::Stop PlateauOf(int evaluations, float min_improvement) {
  v1::Stop stop;
  stop.mutable_plateau()->set_evaluations(evaluations);
  stop.mutable_plateau()->set_min_improvement(min_improvement);
  return stop;
}

TEST_CASE("a plateau is k evaluations in a row without improvement") {
  StopRules rules = Rules(PlateauOf(2, 0));
  REQUIRE(rules.AfterEvaluation(1, {.loss = 5}) == v1::END_REASON_UNSPECIFIED);
  REQUIRE(rules.AfterEvaluation(2, {.loss = 5}) == v1::END_REASON_UNSPECIFIED);
  // An improvement starts the count anew.
  REQUIRE(rules.AfterEvaluation(3, {.loss = 4}) == v1::END_REASON_UNSPECIFIED);
  REQUIRE(rules.AfterEvaluation(4, {.loss = 6}) == v1::END_REASON_UNSPECIFIED);
  // Better than the one before, not than the best.
  REQUIRE(rules.AfterEvaluation(5, {.loss = 4.5}) == v1::END_REASON_PLATEAU);
}

TEST_CASE("an improvement must be larger than the threshold") {
  StopRules rules = Rules(PlateauOf(1, 0.5f));
  REQUIRE(rules.AfterEvaluation(1, {.loss = 5}) == v1::END_REASON_UNSPECIFIED);
  REQUIRE(rules.AfterEvaluation(2, {.loss = 4.25}) ==
          v1::END_REASON_UNSPECIFIED);
  REQUIRE(rules.AfterEvaluation(3, {.loss = 3.75}) == v1::END_REASON_PLATEAU);
}

TEST_CASE("small improvements add up") {
  StopRules rules = Rules(PlateauOf(3, 0.5f));
  REQUIRE(rules.AfterEvaluation(1, {.loss = 5}) == v1::END_REASON_UNSPECIFIED);
  for (int64_t i = 0; i < 20; ++i) {
    const double loss = 4.8 - 0.2 * static_cast<double>(i);
    REQUIRE(rules.AfterEvaluation(2 + i, {.loss = loss}) ==
            v1::END_REASON_UNSPECIFIED);
  }
}

TEST_CASE("of several reasons the most telling is given") {
  v1::Stop stop = PlateauOf(1, 0);
  StopRules plateau = Rules(stop);
  (void)plateau.AfterEvaluation(99, {.loss = 1});
  REQUIRE(plateau.AfterEvaluation(100, {.loss = 1}) == v1::END_REASON_PLATEAU);
  stop.set_target_loss(1);
  StopRules loss = Rules(stop);
  REQUIRE(loss.AfterEvaluation(100, {.loss = 1}) == v1::END_REASON_TARGET_LOSS);
  stop.set_target_accuracy(0.5);
  StopRules accuracy = Rules(stop);
  REQUIRE(accuracy.AfterEvaluation(100, {.loss = 1, .accuracy = 0.5}) ==
          v1::END_REASON_TARGET_ACCURACY);
}

TEST_CASE("scores are summed in chunk order, whatever order they come in") {
  // Where another order gives another double.
  const double big = 1e16;
  EvaluationTally tally(3);
  tally.Add(2, {.loss_sum = -big, .correct = 1});
  tally.Add(0, {.loss_sum = big, .correct = 2});
  REQUIRE_FALSE(tally.complete());
  tally.Add(1, {.loss_sum = 1, .correct = 3});
  REQUIRE(tally.complete());
  const double in_order = (big + 1) - big;
  REQUIRE(in_order != (big - big) + 1);
  REQUIRE(tally.Result(10).loss == in_order / 10);
  REQUIRE(tally.Result(10).accuracy == 0.6);
}

TEST_CASE("a chunk's first score counts") {
  EvaluationTally tally(2);
  tally.Add(0, {.loss_sum = 1, .correct = 1});
  tally.Add(0, {.loss_sum = 7, .correct = 7});
  REQUIRE_FALSE(tally.complete());
  tally.Add(1, {});
  REQUIRE(tally.Result(1).loss == 1);
}

TEST_CASE("history keeps each step once, and the newest of them") {
  History history;
  const int64_t steps = static_cast<int64_t>(History::kCapacity) + 10;
  for (int64_t step = 0; step < steps; ++step) {
    history.AddStep(step, static_cast<double>(step) / 2);
    history.AddStep(step, -1);
    history.AddStep(step - 1, -1);
  }
  for (int64_t version = 0; version < steps; ++version) {
    history.AddEvaluation(version, {.loss = 1, .accuracy = 0.5});
  }
  v1::GetStatusResponse status;
  history.WriteTo(status);
  REQUIRE(status.steps_size() == History::kCapacity);
  REQUIRE(status.steps(0).step() == 10);
  REQUIRE(status.steps(0).loss() == 5);
  REQUIRE(status.steps().rbegin()->step() == steps - 1);
  REQUIRE(status.evaluations_size() == History::kCapacity);
  REQUIRE(status.evaluations().rbegin()->version() == steps - 1);
}

}  // namespace
}  // namespace tessera
