// Tessera's servers that somebody else has started, perhaps on other machines.

#ifndef TESSERA_WORKER_BENCH_RUNNING_SERVERS_H_
#define TESSERA_WORKER_BENCH_RUNNING_SERVERS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/rpc/credentials.h"
#include "worker/bench/point.h"

namespace tessera::bench {

struct RunningServers {
  std::vector<std::string> addresses;  // In shard order.
  ChannelSecurity security;
  // What they say.
  uint64_t job_fingerprint = 0;
  float learning_rate = 1;
  int64_t version = 0;  // Of all blocks.
  Setting setting;
};

// Asks the servers for their job and where it stands. Measuring on them
// overwrites the parameters, so the job must be a benchmark's, by its name,
// unless `force`. Codes: UNAVAILABLE, naming the server; FAILED_PRECONDITION
// when it is another job, when it is not one for which the closed form holds
// with so many workers, or when a step is under way.
absl::StatusOr<RunningServers> AskServers(std::vector<std::string> addresses,
                                          const ChannelSecurity& security,
                                          int workers, bool force);

}  // namespace tessera::bench

#endif  // TESSERA_WORKER_BENCH_RUNNING_SERVERS_H_
