// Tessera itself, as a channel of the benchmark.

#ifndef TESSERA_WORKER_BENCH_TESSERA_CHANNEL_H_
#define TESSERA_WORKER_BENCH_TESSERA_CHANNEL_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/plan/shard_plan.h"
#include "common/rpc/credentials.h"
#include "common/shm/shared_region.h"
#include "tessera/v1/encoding.pb.h"
#include "worker/bench/block_channel.h"

namespace tessera::bench {

struct TesseraChannelOptions {
  Path path = Path::kTcp;
  std::vector<std::string> servers;  // In shard order.
  uint64_t job_fingerprint = 0;
  int worker = 0;
  int workers = 1;
  v1::Encoding encoding = v1::ENCODING_FLOAT32;
  // Where gradients lie, for the paths through shared memory.
  std::shared_ptr<SharedRegion> region;
  ChannelSecurity security;
};

// The workers' own library, used as the training loop uses it. Codes: as
// ParameterClient::Create; FAILED_PRECONDITION when shared memory is asked for
// and a server does not give it.
absl::StatusOr<std::unique_ptr<BlockChannel>> ConnectTessera(
    const ShardPlan& plan, const TesseraChannelOptions& options);

}  // namespace tessera::bench

#endif  // TESSERA_WORKER_BENCH_TESSERA_CHANNEL_H_
