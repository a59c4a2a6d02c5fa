// DDP against ZeRO: the same job on one server and on several.

#ifndef TESSERA_DEPLOY_LAUNCH_COMPARE_H_
#define TESSERA_DEPLOY_LAUNCH_COMPARE_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/job/job.h"
#include "deploy/launch/run_result.h"

namespace tessera {

// One method's run. With one server the state is whole in one place, as in data
// parallelism ("DDP"); with N it is partitioned ("ZeRO").
struct MethodRun {
  std::string method;
  RunResult result;
};

// The table: method, iterations, seconds, final loss, and for each server bytes
// of parameters, gradients and optimizer state, and bytes that a worker pushed
// to it in a step. Pure.
std::string CompareTable(const std::vector<MethodRun>& runs);

// The same as JSON text. Pure.
std::string CompareJson(const std::vector<MethodRun>& runs);

// Whether the runs ended with the same losses and parameters, to the bit, and
// every server of `zero` holds 1/N of the parameters, gradients and optimizer
// state that `ddp`'s holds, to within one block. (Partial sums that had to wait
// beside a block's accumulator depend on timing; they are in the JSON only.)
// Codes: FAILED_PRECONDITION, saying what differs. Pure.
absl::Status CheckEquivalence(const Job& job, const MethodRun& ddp,
                              const MethodRun& zero);

}  // namespace tessera

#endif  // TESSERA_DEPLOY_LAUNCH_COMPARE_H_
