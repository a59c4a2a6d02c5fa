// The baseline's worker: generated stubs over one default channel to each
// server.

#ifndef TESSERA_WORKER_BENCH_BASELINE_CHANNEL_H_
#define TESSERA_WORKER_BENCH_BASELINE_CHANNEL_H_

#include <memory>
#include <string>
#include <vector>

#include "common/plan/shard_plan.h"
#include "worker/bench/block_channel.h"

namespace tessera::bench {

// Connects on first use, in shard order. `plan` must outlive it.
std::unique_ptr<BlockChannel> ConnectBaseline(
    const ShardPlan& plan, const std::vector<std::string>& servers, int worker);

}  // namespace tessera::bench

#endif  // TESSERA_WORKER_BENCH_BASELINE_CHANNEL_H_
