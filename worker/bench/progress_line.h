// What the user sees while the benchmark runs.

#ifndef TESSERA_WORKER_BENCH_PROGRESS_LINE_H_
#define TESSERA_WORKER_BENCH_PROGRESS_LINE_H_

#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace tessera::bench {

// "[######......] 48%  0:41 left  1 MiB 2x2", at most `width` columns. Pure.
std::string ProgressBar(double share, absl::Duration left,
                        absl::string_view what, int width);

// On standard error: on a terminal a line that is drawn over again, elsewhere a
// line for each thing that is begun. Not thread-safe.
class ProgressLine {
 public:
  ProgressLine();
  // Leaves the terminal with an empty line.
  ~ProgressLine();

  // `share` of all work is done; `what` is being worked on.
  void Show(double share, absl::string_view what);

 private:
  const bool terminal_;
  const absl::Time begin_;
  absl::Time next_;
  std::string last_what_;
};

}  // namespace tessera::bench

#endif  // TESSERA_WORKER_BENCH_PROGRESS_LINE_H_
