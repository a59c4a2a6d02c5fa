// What a run's user sees while it runs.

#ifndef TESSERA_DEPLOY_REPORT_PROGRESS_H_
#define TESSERA_DEPLOY_REPORT_PROGRESS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/time/time.h"

namespace tessera {

// A moment of a run.
struct Progress {
  int64_t steps_done = 0;
  int64_t steps_total = 1;
  int64_t steps_per_epoch = 1;
  bool evaluating = false;
  std::optional<double> loss;      // Of the newest step.
  std::optional<double> accuracy;  // Of the newest evaluation.
  double samples_per_second = 0;
  double pushed_megabytes_per_second = 0;
  std::optional<absl::Duration> time_left;
  // Whom the job waits for, in words; empty while nothing is overdue.
  std::string waiting;
};

// One line without newline, at most `width` columns: a bar and figures, in
// shorter words where they would not fit. 80 columns have room for all. Pure.
std::string ProgressBar(const Progress& progress, int width);

// One line of figures, for logs. Pure.
std::string ProgressLine(const Progress& progress);

// "1:02", "1:02:03".
std::string FormatTime(absl::Duration duration);

// "1,234,567".
std::string WithCommas(int64_t number);

// Shows progress on standard error: on a terminal a bar that is drawn over
// again, elsewhere a line every ten seconds. Not thread-safe.
class ProgressDisplay {
 public:
  ProgressDisplay();

  void Show(const Progress& progress);

  // Prints a line above the bar.
  void Print(const std::string& line);

  // Leaves the last bar standing.
  void Finish();

 private:
  const bool terminal_;
  bool bar_shown_ = false;
  absl::Time next_line_ = absl::InfinitePast();
};

}  // namespace tessera

#endif  // TESSERA_DEPLOY_REPORT_PROGRESS_H_
