// The parameter service's methods on messages as they travel: parse, handle,
// serialise. Payloads are used and referenced where they lie.

#ifndef TESSERA_SERVER_SERVICE_PARAMETER_METHODS_H_
#define TESSERA_SERVER_SERVICE_PARAMETER_METHODS_H_

#include <grpcpp/support/byte_buffer.h>

#include "absl/status/status.h"
#include "common/tensor/fragments.h"
#include "server/service/parameter_handler.h"
#include "server/service/unary_call.h"

namespace tessera {

// Codes of all three: ParameterHandler's, and INVALID_ARGUMENT for bytes that
// are not the message. An answer's payload refers to the version's memory until
// gRPC has sent it. The handler must outlive the calls.
EndWait ServePush(ParameterHandler& handler, const FragmentedBytes& message,
                  const ReplyDone& done);
EndWait ServePull(ParameterHandler& handler, const FragmentedBytes& message,
                  const ReplyDone& done);
EndWait ServePushPull(ParameterHandler& handler, const FragmentedBytes& message,
                      const ReplyDone& done);

// For streams: the answer, which may say where its values lie in shared memory,
// and the answer to a call that failed.
grpc::ByteBuffer StreamAnswer(const PushPullReply& reply);
grpc::ByteBuffer StreamAnswer(uint64_t request_id, const absl::Status& error);

}  // namespace tessera

#endif  // TESSERA_SERVER_SERVICE_PARAMETER_METHODS_H_
