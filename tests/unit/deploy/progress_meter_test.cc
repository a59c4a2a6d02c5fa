#include "deploy/launch/progress_meter.h"

#include "tests/support/status.h"
#include "tests/support/test_job.h"

namespace tessera {
namespace {

const absl::Time kStart = absl::FromUnixSeconds(1000);

// 2 samples a step.
Job TwoSampleJob() {
  return MakeTestJob(
      {.microbatches = 2, .samples_per_microbatch = 1, .steps = 1000});
}

v1::GetStatusResponse At(int64_t steps) {
  v1::GetStatusResponse status;
  status.set_phase(v1::PHASE_TRAINING);
  status.set_steps_done(steps);
  return status;
}

void AddWaiting(v1::GetStatusResponse& status, const std::string& label,
                int64_t ms) {
  v1::Waiting& waiting = *status.add_waiting();
  waiting.set_label(label);
  waiting.set_work("step 3 [0, 4)");
  waiting.set_waiting_ms(ms);
}

TEST_CASE("the first look knows no speed") {
  const Job job = TwoSampleJob();
  ProgressMeter meter(job);
  const Progress progress = meter.Update(At(0), 0, RunHistory(""), kStart);
  REQUIRE(progress.steps_total == 1000);
  REQUIRE(progress.samples_per_second == 0);
  REQUIRE_FALSE(progress.time_left.has_value());
  REQUIRE_FALSE(progress.loss.has_value());
}

TEST_CASE("speeds and the time left follow from steps and bytes") {
  const Job job = TwoSampleJob();
  ProgressMeter meter(job);
  const RunHistory history("");
  meter.Update(At(0), 0, history, kStart);
  const Progress progress =
      meter.Update(At(100), 5000000, history, kStart + absl::Seconds(2));
  REQUIRE(progress.steps_done == 100);
  REQUIRE(progress.samples_per_second == Approx(100));
  REQUIRE(progress.pushed_megabytes_per_second == Approx(2.5));
  REQUIRE(absl::ToDoubleSeconds(*progress.time_left) == Approx(18));
}

TEST_CASE("speeds are of the last seconds, not of the whole run") {
  const Job job = TwoSampleJob();
  ProgressMeter meter(job);
  const RunHistory history("");
  Progress progress;
  // 100 steps a second at first, then 10.
  for (int i = 0; i <= 10; ++i) {
    const int64_t steps = i <= 5 ? 100 * i : 500 + 10 * (i - 5);
    progress = meter.Update(At(steps), 0, history, kStart + absl::Seconds(i));
  }
  REQUIRE(progress.samples_per_second == Approx(2 * 10));
}

TEST_CASE("a job that goes back has no speed below 0") {
  const Job job = TwoSampleJob();
  ProgressMeter meter(job);
  const RunHistory history("");
  meter.Update(At(500), 5000000, history, kStart);
  Progress progress =
      meter.Update(At(100), 6000000, history, kStart + absl::Seconds(1));
  REQUIRE(progress.samples_per_second == 0);
  REQUIRE(progress.pushed_megabytes_per_second == 0);
  // From there on it has one again, until a server counts anew.
  progress = meter.Update(At(110), 8000000, history, kStart + absl::Seconds(2));
  REQUIRE(progress.samples_per_second == Approx(20));
  REQUIRE(progress.pushed_megabytes_per_second == Approx(2));
  progress = meter.Update(At(120), 1000000, history, kStart + absl::Seconds(3));
  REQUIRE(progress.pushed_megabytes_per_second == 0);
}

TEST_CASE("a job that stands still has no time left to tell") {
  const Job job = TwoSampleJob();
  ProgressMeter meter(job);
  const RunHistory history("");
  meter.Update(At(7), 0, history, kStart);
  const Progress progress =
      meter.Update(At(7), 0, history, kStart + absl::Seconds(1));
  REQUIRE_FALSE(progress.time_left.has_value());
}

TEST_CASE("losses are the newest; regression has no accuracy") {
  const Job job = TwoSampleJob();
  v1::GetStatusResponse status = At(2);
  for (double loss : {3.0, 2.0}) {
    v1::StepRecord& step = *status.add_steps();
    step.set_step(status.steps_size() - 1);
    step.set_loss(loss);
  }
  status.add_evaluations()->set_version(2);
  RunHistory history("");
  history.Update(status, 0);
  ProgressMeter meter(job);
  const Progress progress = meter.Update(status, 0, history, kStart);
  REQUIRE(*progress.loss == 2.0);
  REQUIRE_FALSE(progress.accuracy.has_value());
}

TEST_CASE("the evaluating phase is passed on") {
  const Job job = TwoSampleJob();
  ProgressMeter meter(job);
  v1::GetStatusResponse status = At(2);
  status.set_phase(v1::PHASE_EVALUATING);
  REQUIRE(meter.Update(status, 0, RunHistory(""), kStart).evaluating);
}

TEST_CASE("the longest wait is told, short ones are not") {
  const Job job = TwoSampleJob();
  const RunHistory history("");
  const auto waiting = [&](const v1::GetStatusResponse& status) {
    return ProgressMeter(job).Update(status, 0, history, kStart).waiting;
  };
  v1::GetStatusResponse status = At(3);
  REQUIRE(waiting(status).empty());
  AddWaiting(status, "quick", 999);
  REQUIRE(waiting(status).empty());
  AddWaiting(status, "", 1000);
  REQUIRE(waiting(status) == "step 3 [0, 4) for a worker, 1 s");
  AddWaiting(status, "worker-1", 12900);
  AddWaiting(status, "worker-2", 5000);
  REQUIRE(waiting(status) == "step 3 [0, 4) for worker-1, 12 s and 2 more");
  status.clear_waiting();
  status.set_phase(v1::PHASE_RECOVERING);
  REQUIRE(waiting(status) == "servers to come back");
  v1::Waiting& server = *status.add_waiting();
  server.set_work("shard 2 to load version 120");
  server.set_waiting_ms(3000);
  REQUIRE(waiting(status) == "shard 2 to load version 120, 3 s");
}

}  // namespace
}  // namespace tessera
