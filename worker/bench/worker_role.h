// A worker process of the benchmark.

#ifndef TESSERA_WORKER_BENCH_WORKER_ROLE_H_
#define TESSERA_WORKER_BENCH_WORKER_ROLE_H_

#include "absl/status/status.h"
#include "worker/bench/child_setup.h"
#include "worker/bench/control.h"

namespace tessera::bench {

// Connects to the servers, then does what it is told until its parent closes
// the link:
//
//   {"command": "reset"}       all values to 0, by pushing them;
//                              {"origin": version}
//   {"command": "connect"...}  by the path of a RunRequest from now on
//   {"command": "run"...}      a timed run (RunRequest); WorkerRun
//   {"command": "verify"}      fetches what the last run did not, and compares
//                              all values; {"values_checked": n}
//
// All workers of a run get the same commands. Codes: what failed, after it has
// been sent to the parent.
absl::Status RunWorkerRole(const ChildSetup& setup, ControlLink& parent);

}  // namespace tessera::bench

#endif  // TESSERA_WORKER_BENCH_WORKER_ROLE_H_
