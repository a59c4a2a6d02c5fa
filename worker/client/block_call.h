// One call of a ParameterClient, over all its attempts.

#ifndef TESSERA_WORKER_CLIENT_BLOCK_CALL_H_
#define TESSERA_WORKER_CLIENT_BLOCK_CALL_H_

#include <grpcpp/support/byte_buffer.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "common/base/live_count.h"
#include "common/base/strong_id.h"
#include "common/rpc/byte_buffer.h"
#include "worker/client/callback_queue.h"
#include "worker/client/parameter_client.h"

namespace tessera {

// What requests to one server have in common.
struct ServerIdentity {
  std::string address;
  int shard = 0;
  uint64_t job_fingerprint = 0;
  WorkerId worker;
};

// A call has ended when its result is there *and* gRPC has let go of all
// payload slices that refer to the caller's memory: an attempt that was given
// up may still be on its way to the socket, and must not be seen to change.
class BlockCall : public std::enable_shared_from_this<BlockCall> {
 public:
  enum class Kind {
    kPushPull,
    kPush,  // The answer's values are not wanted.
    kPull,
  };

  struct Request {
    Kind kind = Kind::kPull;
    BlockGradient gradient;  // Its block and, for pulls, only that.
    int64_t version = 0;     // That is asked for.
    absl::Span<float> to;
    BlockDone done;
  };

  // Both must outlive the call. The call counts in `outstanding` until its
  // callback has returned.
  BlockCall(uint64_t id, Request request, CallbackQueue& callbacks,
            LiveCount& outstanding);

  uint64_t id() const { return id_; }
  Kind kind() const { return request_.kind; }
  // Payload bytes of one attempt, up and down.
  int64_t pushed_bytes() const;
  int64_t pulled_bytes() const;

  // The message to send, for one attempt.
  grpc::ByteBuffer MakeRequest(const ServerIdentity& server);

  // Takes the answer to an attempt: checks it and, for a pull, copies its
  // values to where they are wanted. Codes: the call's own error, if it has
  // one; INTERNAL for an answer that does not fit the request.
  absl::Status TakeAnswer(const ReceivedMessage& message) const;

  // Gives the call its result, once. Its callback runs now, on this thread, or
  // on the queue's once the last slice is let go.
  void Finish(absl::Status result);

 private:
  grpc::ByteBuffer MakePush(const ServerIdentity& server);
  grpc::ByteBuffer MakePull(const ServerIdentity& server) const;
  template <typename Response>
  absl::Status TakeBlock(const ReceivedMessage& message) const;
  // Whether nothing holds the call any more.
  bool Drop() { return holds_.fetch_sub(1) == 1; }
  void RunCallback();

  const LiveCount::Token token_;  // First, so destroyed last.
  const uint64_t id_;
  Request request_;
  CallbackQueue& callbacks_;
  // One for the result that is missing, and one for each slice.
  std::atomic<int> holds_ = 1;
  absl::Status result_;  // Written before the result's hold is dropped.
};

}  // namespace tessera

#endif  // TESSERA_WORKER_CLIENT_BLOCK_CALL_H_
