// One call of a ParameterClient, over all its attempts.

#ifndef TESSERA_WORKER_CLIENT_BLOCK_CALL_H_
#define TESSERA_WORKER_CLIENT_BLOCK_CALL_H_

#include <grpcpp/support/byte_buffer.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "common/base/live_count.h"
#include "common/base/strong_id.h"
#include "common/device/buffer_pool.h"
#include "common/tensor/fragments.h"
#include "common/trace/trace.h"
#include "tessera/v1/parameter.pb.h"
#include "worker/client/block_view.h"
#include "worker/client/call_trace.h"
#include "worker/client/callback_queue.h"
#include "worker/client/parameter_client.h"
#include "worker/client/stream_sharing.h"

namespace tessera {

// What requests to one server have in common.
struct ServerIdentity {
  std::string address;
  int shard = 0;
  uint64_t job_fingerprint = 0;
  WorkerId worker;
  v1::Encoding push_encoding = v1::ENCODING_FLOAT32;
  v1::Encoding pull_encoding = v1::ENCODING_FLOAT32;
  // Records what becomes of calls, unless it is null.
  Tracer* tracer = nullptr;
};

// A call has ended when its result is there *and* gRPC has let go of all
// payload slices that refer to the caller's memory: an attempt that was given
// up may still be on its way to the socket, and must not be seen to change.
//
// Whoever sends the call first takes a hold on it, under the lock that also
// guards its ending, so that it cannot end while its message is being made.
class BlockCall : public std::enable_shared_from_this<BlockCall> {
 public:
  struct Request {
    // What is wanted: a PushPull or half of it.
    v1::Part part = v1::PART_UNSPECIFIED;
    BlockGradient gradient;  // For PART_PULL its block, and nothing else.
    int64_t version = 0;     // That is asked for.
    int64_t generation = 0;  // That it is made in.
    size_t elements = 0;     // Of the block.
    // The gradient as it is to be pushed, if not as it is. Stays with the call,
    // as a server may read it in shared memory until it answers.
    BufferRef rounded;
    // Where the values go, and then `done`; or `view_done` alone.
    absl::Span<float> to;
    BlockDone done;
    ViewDone view_done;
  };

  // All must outlive the call. The call counts in `outstanding` until its
  // callback has returned.
  BlockCall(Request request, const ServerIdentity& server,
            CallbackQueue& callbacks, LiveCount& outstanding);

  // Names the call on the wire; set once, before it is sent.
  uint64_t id() const { return id_; }
  void set_id(uint64_t id) { id_ = id; }

  // Payload bytes of one attempt, up and down.
  int64_t pushed_bytes() const;
  int64_t pulled_bytes() const;

  // Keeps the call from ending until MakeRequest has been called, once. Gives
  // the gradient's place in shared memory, if the server can see it there.
  std::optional<v1::SharedBytes> Hold(const StreamSharing& sharing);

  // The message to send, for one attempt; needs what Hold gave. Takes along
  // what is to be released.
  grpc::ByteBuffer MakeRequest(const std::optional<v1::SharedBytes>& place,
                               StreamSharing& sharing);

  // Whether an attempt has named shared memory: a server may read it then until
  // the call is answered.
  bool named_shared() const { return named_shared_; }

  // Whether the answer says that the server cannot see the memory that the call
  // named. It will name none any more.
  bool MustSendBytes(const v1::PushPullResponse& answer);

  // Takes the answer to an attempt, and its values: checks them and, when they
  // are wanted elsewhere, copies them there. Codes: the call's own error, if
  // it has one; INTERNAL for an answer that does not fit the request;
  // UNAVAILABLE for values that were taken back while they were copied.
  absl::Status TakeAnswer(const v1::PushPullResponse& answer, BlockView values);

  // Gives the call its result, once. Its callback runs now, on this thread, or
  // on the queue's once the last slice is let go.
  void Finish(absl::Status result);

 private:
  v1::PushPullRequest MakeHeader() const;
  // What is pushed.
  FragmentedBytes::Piece Gradient() const;
  absl::Status TakeValues(const v1::PushPullResponse& answer, BlockView values);
  absl::Status CheckAnswer(const v1::PushPullResponse& answer,
                           const BlockView& values) const;
  // Lets go of one hold. Whether nothing holds the call any more.
  bool Drop() { return holds_.fetch_sub(1) == 1; }
  // Likewise, and sees to the callback.
  void DropFromAfar();
  void RunCallback();
  TraceArgs TraceArgsOf(int64_t bytes) const;
  void RecordTrace() const;

  const LiveCount::Token token_;  // First, so destroyed last.
  Request request_;
  const ServerIdentity& server_;
  CallTrace trace_;
  CallbackQueue& callbacks_;
  uint64_t id_ = 0;
  // One for the result that is missing, and one for each message that is being
  // made or refers to the gradient.
  std::atomic<int> holds_ = 1;
  // Written before the result's hold is dropped.
  absl::Status result_;
  BlockView view_;

  // Under the lock of whoever could end the call.
  bool named_shared_ = false;
  bool may_name_shared_ = true;
};

}  // namespace tessera

#endif  // TESSERA_WORKER_CLIENT_BLOCK_CALL_H_
