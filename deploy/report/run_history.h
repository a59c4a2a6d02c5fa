// What a run did, step by step and as a whole.

#ifndef TESSERA_DEPLOY_REPORT_RUN_HISTORY_H_
#define TESSERA_DEPLOY_REPORT_RUN_HISTORY_H_

#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "deploy/report/curves.h"
#include "tessera/v1/coordinator.pb.h"

namespace tessera {

// Collects steps and evaluations from successive statuses, each once, and
// appends them to a file of JSON lines:
//   {"kind":"step","step":17,"loss":0.43,"seconds":2.1}
//   {"kind":"evaluation","step":20,"loss":0.4,"accuracy":0.86,"seconds":2.3}
//   {"kind":"rollback","step":12,"seconds":2.9}
// "seconds" is when it was seen, from the start. The last kind says that the
// job went back, and that steps from 12 on, and evaluations of later versions,
// are undone: lines for them, if they are done again, follow. Not thread-safe.
class RunHistory {
 public:
  // Starts the file anew. An empty path writes none.
  explicit RunHistory(const std::string& metrics_path);

  // Takes what is new in `status`, and drops what is undone.
  void Update(const v1::GetStatusResponse& status, double seconds);

  const std::vector<v1::StepRecord>& steps() const { return steps_; }
  const std::vector<v1::EvaluationRecord>& evaluations() const {
    return evaluations_;
  }

  // Mean training loss over the newest steps, at most one epoch of them.
  double RecentTrainLoss(int64_t steps_per_epoch) const;

  Curves ToCurves(const std::string& title, bool with_accuracy) const;

  // Codes: DATA_LOSS when the file could not be written.
  absl::Status Check() const;

 private:
  void DropUndone(const v1::GetStatusResponse& status, double seconds);

  std::string path_;
  std::ofstream file_;
  std::vector<v1::StepRecord> steps_;
  std::vector<v1::EvaluationRecord> evaluations_;
};

}  // namespace tessera

#endif  // TESSERA_DEPLOY_REPORT_RUN_HISTORY_H_
