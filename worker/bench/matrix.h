// The benchmark's first mode: speed over message sizes, shapes and transports.

#ifndef TESSERA_WORKER_BENCH_MATRIX_H_
#define TESSERA_WORKER_BENCH_MATRIX_H_

#include "absl/status/statusor.h"
#include "worker/bench/group_runner.h"
#include "worker/bench/plan.h"
#include "worker/bench/result.h"

namespace tessera::bench {

// Carries out the plan, group by group, with progress on standard error. For
// the main thread only. Codes: as RunGroup, naming the group.
absl::StatusOr<BenchResult> RunMatrix(const MatrixPlan& plan,
                                      const BenchOptions& options,
                                      const RunEnvironment& environment);

}  // namespace tessera::bench

#endif  // TESSERA_WORKER_BENCH_MATRIX_H_
