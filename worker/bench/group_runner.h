// Measures one group: everything that shares a set of processes, in turns.

#ifndef TESSERA_WORKER_BENCH_GROUP_RUNNER_H_
#define TESSERA_WORKER_BENCH_GROUP_RUNNER_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "worker/bench/fabric.h"
#include "worker/bench/options.h"
#include "worker/bench/plan.h"
#include "worker/bench/result.h"

namespace tessera::bench {

struct RunEnvironment {
  std::string bench_binary;
  std::string server_binary;
  std::string folder;  // Private.
  // Tessera's servers to use instead of starting some; may be null.
  const RunningServers* running = nullptr;
  // Likewise the ceiling's (tessera_bench --serve_raw); may be empty.
  std::vector<std::string> running_raw;
};

struct GroupResult {
  std::vector<SeriesResult> series;  // As in Group::throughput, then the rest.
  int64_t values_checked = 0;
};

// `on_progress` gets the share of the group that is done. For the main thread
// only. Codes: as Fabric.
absl::StatusOr<GroupResult> RunGroup(
    const Group& group, const BenchOptions& options,
    const RunEnvironment& environment,
    const std::function<void(double)>& on_progress);

}  // namespace tessera::bench

#endif  // TESSERA_WORKER_BENCH_GROUP_RUNNER_H_
