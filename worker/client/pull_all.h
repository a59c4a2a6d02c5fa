// The whole flat vector at once.

#ifndef TESSERA_WORKER_CLIENT_PULL_ALL_H_
#define TESSERA_WORKER_CLIENT_PULL_ALL_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "common/plan/shard_plan.h"
#include "worker/client/parameter_client.h"

namespace tessera {

// Fetches every block at `version` from all servers and waits for them. Codes:
// as ParameterClient::Pull; the first failure's. On failure, ends the client's
// other calls too.
absl::StatusOr<std::vector<float>> PullAll(const ShardPlan& plan,
                                           int64_t version,
                                           ParameterClient& client);

}  // namespace tessera

#endif  // TESSERA_WORKER_CLIENT_PULL_ALL_H_
