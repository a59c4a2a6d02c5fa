#include "deploy/report/run_history.h"

#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "common/base/file.h"
#include "tests/support/command.h"
#include "tests/support/status.h"

namespace tessera {
namespace {

using nlohmann::json;

void AddStep(v1::GetStatusResponse& status, int64_t step, double loss) {
  v1::StepRecord& record = *status.add_steps();
  record.set_step(step);
  record.set_loss(loss);
}

void AddEvaluation(v1::GetStatusResponse& status, int64_t version, double loss,
                   double accuracy) {
  v1::EvaluationRecord& record = *status.add_evaluations();
  record.set_version(version);
  record.set_loss(loss);
  record.set_accuracy(accuracy);
}

std::vector<json> Lines(const std::string& path) {
  const auto text = ReadFile(path);
  REQUIRE_OK(text);
  std::vector<json> lines;
  for (const auto line : absl::StrSplit(*text, '\n', absl::SkipEmpty())) {
    lines.push_back(json::parse(std::string(line)));
  }
  return lines;
}

TEST_CASE("steps and evaluations are written once each, as they come") {
  const std::string path = NewScratchFolder() + "/metrics.jsonl";
  RunHistory history(path);
  v1::GetStatusResponse status;
  AddStep(status, 0, 2.5);
  AddStep(status, 1, 1.5);
  history.Update(status, 0.5);
  REQUIRE(Lines(path).size() == 2);

  // The next status repeats what is not too old.
  AddStep(status, 2, 1.25);
  AddEvaluation(status, 2, 1.0, 0.75);
  history.Update(status, 1.5);
  history.Update(status, 2.5);
  REQUIRE_OK(history.Check());
  const std::vector<json> lines = Lines(path);
  REQUIRE(lines.size() == 4);
  REQUIRE(lines[0] ==
          json{{"kind", "step"}, {"step", 0}, {"loss", 2.5}, {"seconds", 0.5}});
  REQUIRE(
      lines[2] ==
      json{{"kind", "step"}, {"step", 2}, {"loss", 1.25}, {"seconds", 1.5}});
  REQUIRE(lines[3] == json{{"kind", "evaluation"},
                           {"step", 2},
                           {"loss", 1.0},
                           {"accuracy", 0.75},
                           {"seconds", 1.5}});
}

// Steps [0, done) are done; evaluations of the versions given.
v1::GetStatusResponse StatusAt(int64_t done,
                               const std::vector<int64_t>& versions) {
  v1::GetStatusResponse status;
  status.set_phase(v1::PHASE_TRAINING);
  status.set_steps_done(done);
  for (int64_t step = 0; step < done; ++step) AddStep(status, step, 1);
  for (int64_t version : versions) AddEvaluation(status, version, 1, 0.5);
  return status;
}

TEST_CASE("what is undone by a roll-back is dropped, and comes again") {
  const std::string path = NewScratchFolder() + "/metrics.jsonl";
  RunHistory history(path);
  history.Update(StatusAt(6, {2, 4, 6}), 1);
  // Nobody knows yet how far back.
  v1::GetStatusResponse recovering = StatusAt(0, {});
  recovering.set_phase(v1::PHASE_RECOVERING);
  history.Update(recovering, 2);
  REQUIRE(history.steps().size() == 6);

  history.Update(StatusAt(4, {2}), 3);
  REQUIRE(history.steps().size() == 4);
  REQUIRE(history.evaluations().back().version() == 4);
  REQUIRE(Lines(path).back() ==
          json{{"kind", "rollback"}, {"step", 4}, {"seconds", 3.0}});

  history.Update(StatusAt(5, {2, 4}), 4);
  REQUIRE(history.steps().size() == 5);
  REQUIRE(Lines(path).back()["step"] == 4);
  REQUIRE(Lines(path).back()["kind"] == "step");
  const Curves curves = history.ToCurves("name", true);
  for (size_t i = 0; i < curves.train_loss.size(); ++i) {
    REQUIRE(curves.train_loss[i].step == static_cast<double>(i));
  }
}

TEST_CASE("a coordinator that remembers less has undone nothing") {
  RunHistory history("");
  history.Update(StatusAt(6, {2, 4}), 1);
  v1::GetStatusResponse status;
  status.set_phase(v1::PHASE_TRAINING);
  status.set_steps_done(6);
  SECTION("nothing at all") {}
  SECTION("only the newest") { AddStep(status, 6, 1); }
  SECTION("losses ahead of what is done") {
    status.set_steps_done(3);
    AddStep(status, 5, 1);
  }
  history.Update(status, 2);
  REQUIRE(history.steps().size() >= 6);
  REQUIRE(history.evaluations().size() == 2);
}

TEST_CASE("losses keep all their bits, and what is not finite stays JSON") {
  const std::string path = NewScratchFolder() + "/metrics.jsonl";
  RunHistory history(path);
  v1::GetStatusResponse status;
  AddStep(status, 0, 0.1 + 0.2);
  AddStep(status, 1, std::numeric_limits<double>::infinity());
  history.Update(status, 0);
  const std::vector<json> lines = Lines(path);
  REQUIRE(lines[0]["loss"].get<double>() == 0.1 + 0.2);
  REQUIRE(lines[1]["loss"].is_null());
}

TEST_CASE("the file starts anew; none is written without a path") {
  const std::string path = NewScratchFolder() + "/metrics.jsonl";
  REQUIRE_OK(WriteFileAtomically(path, "an earlier run"));
  const RunHistory history(path);
  REQUIRE(*ReadFile(path) == "");
  REQUIRE_OK(RunHistory("").Check());
}

TEST_CASE("a file that cannot be written is told, and named") {
  const std::string path = "/nonexistent/metrics.jsonl";
  REQUIRE_ERROR(RunHistory(path).Check(), absl::StatusCode::kDataLoss, path);
}

TEST_CASE("the recent loss is a mean over one epoch at most") {
  RunHistory history("");
  REQUIRE(history.RecentTrainLoss(10) == 0);
  v1::GetStatusResponse status;
  for (int step = 0; step < 5; ++step) AddStep(status, step, step);
  history.Update(status, 0);
  REQUIRE(history.RecentTrainLoss(2) == 3.5);
  REQUIRE(history.RecentTrainLoss(5) == 2.0);
  REQUIRE(history.RecentTrainLoss(1000) == 2.0);
}

TEST_CASE("curves hold what was seen") {
  RunHistory history("");
  v1::GetStatusResponse status;
  AddStep(status, 0, 2);
  AddStep(status, 1, 1);
  AddEvaluation(status, 2, 0.5, 0.25);
  history.Update(status, 0);
  const Curves curves = history.ToCurves("name", true);
  REQUIRE(curves.title == "name");
  REQUIRE(curves.train_loss.size() == 2);
  REQUIRE(curves.train_loss[1].step == 1);
  REQUIRE(curves.train_loss[1].value == 1);
  REQUIRE(curves.test_loss.size() == 1);
  REQUIRE(curves.test_loss[0].step == 2);
  REQUIRE(curves.test_accuracy[0].value == 0.25);
  REQUIRE(history.ToCurves("name", false).test_accuracy.empty());
}

}  // namespace
}  // namespace tessera
