// How long runs have to be.

#ifndef TESSERA_WORKER_BENCH_CALIBRATION_H_
#define TESSERA_WORKER_BENCH_CALIBRATION_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "worker/bench/fabric.h"

namespace tessera::bench {

// Steps for a run of about `wanted_seconds`, when `steps` took `seconds`; at
// least 1, and no leap from a short run that says little. Pure.
int64_t StepsFor(int64_t steps, double seconds, double wanted_seconds);

// Runs `request` with more and more steps until it lasts long enough to tell
// the speed, which warms everything up, and sets its steps so that it lasts
// about `wanted_seconds`, or one step. Returns how many values were compared.
// Codes: as Fabric::Run.
absl::StatusOr<int64_t> Calibrate(double wanted_seconds, Fabric& fabric,
                                  RunRequest& request);

}  // namespace tessera::bench

#endif  // TESSERA_WORKER_BENCH_CALIBRATION_H_
