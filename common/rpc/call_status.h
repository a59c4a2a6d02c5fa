// Between gRPC's statuses and Abseil's; the only place that does it.

#ifndef TESSERA_COMMON_RPC_CALL_STATUS_H_
#define TESSERA_COMMON_RPC_CALL_STATUS_H_

#include <grpcpp/support/status.h>

#include "absl/status/status.h"
#include "tessera/v1/parameter.pb.h"

namespace tessera {

// The codes of both are those of google.rpc.Code. A code that is none of them,
// from a peer of another make, becomes UNKNOWN.
grpc::Status ToGrpcStatus(const absl::Status& status);
absl::Status FromGrpcStatus(const grpc::Status& status);

// One call's error inside a stream.
v1::CallError ToCallError(const absl::Status& status);
absl::Status FromCallError(const v1::CallError& error);

// Whether a call that ended so may be sent again as it was, because the
// network, or a server that comes or goes, may be to blame. Final verdicts
// (INVALID_ARGUMENT, NOT_FOUND, OUT_OF_RANGE, ...) are never the library's own.
// CANCELLED is the peer's here: whoever cancels by himself must know.
bool IsTransportFailure(const absl::Status& status);

}  // namespace tessera

#endif  // TESSERA_COMMON_RPC_CALL_STATUS_H_
