// The ceiling's server: one shard behind plain sockets.

#ifndef TESSERA_WORKER_BENCH_RAW_TCP_SERVER_H_
#define TESSERA_WORKER_BENCH_RAW_TCP_SERVER_H_

#include "absl/status/status.h"
#include "common/plan/shard_plan.h"
#include "worker/bench/raw_tcp/socket.h"

namespace tessera::bench {

struct RawServerOptions {
  int shard = 0;
  int workers = 1;
  float unit = 1;  // Learning rate / microbatches.
};

// Waits for all workers to connect, then serves them on this thread until the
// last of them has left. One thread for all connections: nothing is ever handed
// from one core to another, both directions are always in motion, and a shard
// that needs more cores is better cut in two. Codes: those of Accept;
// FAILED_PRECONDITION for a frame that does not belong where it came.
absl::Status ServeRawTcp(const Socket& listener, const ShardPlan& plan,
                         const RawServerOptions& options);

}  // namespace tessera::bench

#endif  // TESSERA_WORKER_BENCH_RAW_TCP_SERVER_H_
