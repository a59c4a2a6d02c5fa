// The job that the benchmark's servers run.

#ifndef TESSERA_WORKER_BENCH_BENCH_JOB_H_
#define TESSERA_WORKER_BENCH_BENCH_JOB_H_

#include "absl/status/statusor.h"
#include "common/job/job.h"
#include "worker/bench/point.h"

namespace tessera::bench {

// How a benchmark's job is called, so that no other is taken for one.
inline constexpr char kJobName[] = "tessera_bench";

// Its learning rate: a power of two, see closed_form.h.
inline constexpr float kLearningRate = 1;

// A linear model with as many parameters as the setting asks for, plain SGD
// with a constant learning rate, and steps without end. Nobody computes
// anything: it is there for its parameters. Codes: INVALID_ARGUMENT for sizes
// that no job may have.
absl::StatusOr<Job> MakeBenchJob(const Setting& setting);

// Whether the closed form holds for a job that somebody else's servers run,
// with that many workers. Codes: FAILED_PRECONDITION, saying what is in the
// way.
absl::Status CheckClosedForm(const Job& job, int workers);

}  // namespace tessera::bench

#endif  // TESSERA_WORKER_BENCH_BENCH_JOB_H_
