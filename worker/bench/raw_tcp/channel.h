// The ceiling's worker: plain sockets, one to each server.

#ifndef TESSERA_WORKER_BENCH_RAW_TCP_CHANNEL_H_
#define TESSERA_WORKER_BENCH_RAW_TCP_CHANNEL_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/plan/shard_plan.h"
#include "worker/bench/block_channel.h"

namespace tessera::bench {

// Connects to all servers, in shard order. The channel has no threads: it works
// in Drive, with all connections and both directions on the caller's thread.
// `plan` must outlive it. Codes: as Connect.
absl::StatusOr<std::unique_ptr<BlockChannel>> ConnectRawTcp(
    const ShardPlan& plan, const std::vector<std::string>& servers, int worker);

}  // namespace tessera::bench

#endif  // TESSERA_WORKER_BENCH_RAW_TCP_CHANNEL_H_
