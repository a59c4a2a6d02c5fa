#include "deploy/launch/progress_meter.h"

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace tessera {
namespace {

constexpr absl::Duration kRateWindow = absl::Seconds(3);
// A wait that is shorter is nothing to tell anyone.
constexpr int64_t kWaitingMinMs = 1000;

// The wait that has lasted longest, in words.
std::string DescribeWaiting(const v1::GetStatusResponse& status) {
  const v1::Waiting* longest = nullptr;
  int count = 0;
  for (const v1::Waiting& waiting : status.waiting()) {
    if (waiting.waiting_ms() < kWaitingMinMs) continue;
    ++count;
    if (longest == nullptr || waiting.waiting_ms() > longest->waiting_ms()) {
      longest = &waiting;
    }
  }
  if (longest == nullptr) {
    return status.phase() == v1::PHASE_RECOVERING ? "servers to come back" : "";
  }
  // A server that is waited for says for what; work is waited for from a
  // worker.
  std::string text = longest->work();
  if (!absl::StrContains(text, " to ")) {
    absl::StrAppend(&text, " for ",
                    longest->label().empty() ? "a worker" : longest->label());
  }
  absl::StrAppend(&text, ", ", longest->waiting_ms() / 1000, " s");
  if (count > 1) absl::StrAppend(&text, " and ", count - 1, " more");
  return text;
}

}  // namespace

Progress ProgressMeter::Update(const v1::GetStatusResponse& status,
                               int64_t pushed_bytes, const RunHistory& history,
                               absl::Time now) {
  // Where the job has gone back, or a server counts anew, there is no speed.
  if (!samples_.empty() && (status.steps_done() < samples_.back().steps ||
                            pushed_bytes < samples_.back().pushed_bytes)) {
    samples_.clear();
  }
  samples_.push_back({now, status.steps_done(), pushed_bytes});
  while (samples_.size() > 2 && now - samples_[1].time >= kRateWindow) {
    samples_.pop_front();
  }
  Progress progress{.steps_done = status.steps_done(),
                    .steps_total = job_.max_steps(),
                    .steps_per_epoch = job_.steps_per_epoch(),
                    .evaluating = status.phase() == v1::PHASE_EVALUATING,
                    .waiting = DescribeWaiting(status)};
  if (!history.steps().empty()) {
    progress.loss = history.steps().back().loss();
  }
  if (!history.evaluations().empty() && job_.proto().data_set().classes() > 0) {
    progress.accuracy = history.evaluations().back().accuracy();
  }
  AddRates(progress);
  return progress;
}

void ProgressMeter::AddRates(Progress& progress) const {
  const Sample& first = samples_.front();
  const Sample& last = samples_.back();
  const double seconds = absl::ToDoubleSeconds(last.time - first.time);
  if (seconds <= 0) return;
  const double steps_per_second =
      static_cast<double>(last.steps - first.steps) / seconds;
  progress.samples_per_second = steps_per_second * job_.batch_size();
  progress.pushed_megabytes_per_second =
      static_cast<double>(last.pushed_bytes - first.pushed_bytes) / seconds /
      1e6;
  if (steps_per_second > 0) {
    progress.time_left = absl::Seconds(
        static_cast<double>(progress.steps_total - progress.steps_done) /
        steps_per_second);
  }
}

}  // namespace tessera
