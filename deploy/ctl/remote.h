// What tessera_ctl asks of a running job, by way of shard 0's server.

#ifndef TESSERA_DEPLOY_CTL_REMOTE_H_
#define TESSERA_DEPLOY_CTL_REMOTE_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/rpc/credentials.h"
#include "deploy/ctl/commands.h"
#include "tessera/v1/coordinator.pb.h"

namespace tessera {

struct RemoteOptions {
  std::string server;  // Shard 0's, "host:port".
  ChannelSecurity security;
  // Of each call.
  absl::Duration timeout = absl::Seconds(30);
};

// A status in words, on lines of their own. Pure.
std::string DescribeStatus(const v1::GetStatusResponse& status);

// Where the job stands, and whom it waits for. Codes: UNAVAILABLE or
// DEADLINE_EXCEEDED, naming the server; FAILED_PRECONDITION when it is not
// shard 0's.
absl::StatusOr<Report> RemoteStatus(const RemoteOptions& options);

// Makes a checkpoint and waits until it is complete. Good: it is; otherwise the
// report says why not. Codes: as RemoteStatus, also when there is no folder for
// checkpoints.
absl::StatusOr<Report> RemoteCheckpoint(const RemoteOptions& options);

}  // namespace tessera

#endif  // TESSERA_DEPLOY_CTL_REMOTE_H_
