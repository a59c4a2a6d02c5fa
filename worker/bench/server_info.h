// What Tessera's servers say about themselves.

#ifndef TESSERA_WORKER_BENCH_SERVER_INFO_H_
#define TESSERA_WORKER_BENCH_SERVER_INFO_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/rpc/credentials.h"
#include "tessera/v1/admin.pb.h"

namespace tessera::bench {

// Asks each server, in the order given. Codes: UNAVAILABLE, naming the server;
// those of Connect.
absl::StatusOr<std::vector<v1::GetServerInfoResponse>> GetServerInfos(
    const std::vector<std::string>& servers, const ChannelSecurity& security);

}  // namespace tessera::bench

#endif  // TESSERA_WORKER_BENCH_SERVER_INFO_H_
