// The parameter service's methods on messages as they travel: parse, handle,
// serialise. Payloads are used and referenced where they lie.

#ifndef TESSERA_SERVER_SERVICE_PARAMETER_METHODS_H_
#define TESSERA_SERVER_SERVICE_PARAMETER_METHODS_H_

#include <grpcpp/support/byte_buffer.h>

#include <functional>
#include <optional>

#include "absl/status/statusor.h"
#include "common/tensor/fragments.h"
#include "server/service/parameter_handler.h"

namespace tessera {

// Called exactly once, perhaps before the method returns. The answer's payload
// refers to the version's memory until gRPC has sent it.
using ReplyDone = std::function<void(absl::StatusOr<grpc::ByteBuffer>)>;

// All three read `message` before they return. They return a ticket when there
// is a wait to cancel. Codes: ParameterHandler's, and INVALID_ARGUMENT for
// bytes that are not the message.
std::optional<PullTicket> ServePush(ParameterHandler& handler,
                                    const FragmentedBytes& message,
                                    const ReplyDone& done);
std::optional<PullTicket> ServePull(ParameterHandler& handler,
                                    const FragmentedBytes& message,
                                    const ReplyDone& done);
std::optional<PullTicket> ServePushPull(ParameterHandler& handler,
                                        const FragmentedBytes& message,
                                        const ReplyDone& done);

// For streams: the answer, which may say where its values lie in shared memory,
// and the answer to a call that failed.
grpc::ByteBuffer StreamAnswer(const PushPullReply& reply);
grpc::ByteBuffer StreamAnswer(uint64_t request_id, const absl::Status& error);

}  // namespace tessera

#endif  // TESSERA_SERVER_SERVICE_PARAMETER_METHODS_H_
