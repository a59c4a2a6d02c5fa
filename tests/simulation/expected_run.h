// What a simulated job must come to, worked out without workers.

#ifndef TESSERA_TESTS_SIMULATION_EXPECTED_RUN_H_
#define TESSERA_TESTS_SIMULATION_EXPECTED_RUN_H_

#include <cstdint>
#include <string>
#include <vector>

#include "common/job/job.h"
#include "server/coordinator/evaluation_tally.h"
#include "tessera/v1/coordinator.pb.h"

namespace tessera {

// A run that nobody stops.
struct ExpectedRun {
  // Of every version, evaluated or not.
  std::vector<EvaluationResult> results;
  // Versions that are evaluated.
  std::vector<int64_t> evaluated;
  int64_t last_version = 0;
  v1::EndReason end_reason = v1::END_REASON_UNSPECIFIED;
};

ExpectedRun ExpectedRunOf(const Job& job);

// How the end of a run differs from what it should be, or "". A run that was
// stopped may end sooner, with an evaluation of the version that it ends at.
std::string DifferenceFrom(const ExpectedRun& expected,
                           const v1::GetStatusResponse& status);

}  // namespace tessera

#endif  // TESSERA_TESTS_SIMULATION_EXPECTED_RUN_H_
