// A client's link to one server: the calls that it has not answered, the stream
// that carries them, and what happens when that breaks.
//
//   Start --> CallQueue --(one Write at a time)--> StreamSession --> answers
//                 ^                                      |
//                 +---- a failure of the transport: <----+
//                       everything unanswered is sent again, after a pause
//
// Nothing but the callers' own memory waits for being sent: a call becomes a
// message when the one before it has gone to the socket, so gRPC holds one
// message, which refers to the caller's gradient, and the system's socket
// buffer what TCP allows. Answers need no bound of their own: each has its
// place already, and one is read at a time. So nothing can deadlock, however
// long the answers are in coming: a message waits for the server to read, and
// that waits for nobody.

#ifndef TESSERA_WORKER_CLIENT_SERVER_LINK_H_
#define TESSERA_WORKER_CLIENT_SERVER_LINK_H_

#include <grpcpp/channel.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/generic/generic_stub.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/live_count.h"
#include "common/base/mutex.h"
#include "worker/client/block_call.h"
#include "worker/client/call_queue.h"
#include "worker/client/callback_queue.h"
#include "worker/client/reachability.h"
#include "worker/client/stream_session.h"

namespace tessera {

struct TrafficCounters {
  std::atomic<int64_t> pushed_bytes = 0;
  std::atomic<int64_t> pulled_bytes = 0;
  std::atomic<int64_t> retries = 0;
};

// Thread-safe.
class ServerLink : public StreamSession::Listener {
 public:
  // The queue, the callbacks and the counters must outlive the link.
  ServerLink(ServerIdentity server, absl::Duration unreachable_after,
             std::shared_ptr<grpc::Channel> channel,
             grpc::CompletionQueue& queue, CallbackQueue& callbacks,
             TrafficCounters& traffic);
  ~ServerLink() override;

  const ServerIdentity& server() const { return server_; }

  // Repeats the call until it has an answer, or there is no hope. It must have
  // been made for this link's server.
  void Start(std::shared_ptr<BlockCall> call);

  // Ends all calls with CANCELLED, on the callbacks' thread.
  void CancelAll();

  // To be called before the queue is shut down: starts nothing any more, and
  // waits until nothing is under way.
  void Close();

 private:
  using CallPtr = CallQueue::CallPtr;
  // Calls that are taken out, to be ended once the lock is released.
  struct Endings {
    std::vector<CallPtr> calls;
    absl::Status why;
  };

  void OnWritable(StreamSession& session) override;
  void OnMessage(StreamSession& session, ReceivedMessage message) override;
  void OnEnd(StreamSession& session, const absl::Status& why) override;

  // Sends what can be sent now. gRPC is never entered with the lock held.
  void Pump();
  // Ends a call with what its answer says, if it has not ended.
  void TakeAnswer(const v1::PushPullResponse& answer, BlockView values);
  // An attempt at this call came to nothing, through no fault of its own.
  void Repeat(uint64_t id, const absl::Status& why);
  void Wake();
  void End(const Endings& endings);

  // After a failure of the transport: pauses, or gives up on all calls.
  Endings Pause(const absl::Status& why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Annotate(const absl::Status& status) const;

  const ServerIdentity server_;
  const absl::Duration unreachable_after_;
  const std::shared_ptr<grpc::Channel> channel_;
  grpc::CompletionQueue& queue_;
  CallbackQueue& callbacks_;
  TrafficCounters& traffic_;
  grpc::GenericStub stub_;
  LiveCount live_;  // Sessions.

  Mutex mutex_;
  CallQueue calls_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<StreamSession> session_ ABSL_GUARDED_BY(mutex_);
  bool writable_ ABSL_GUARDED_BY(mutex_) = false;
  // When the session's stream began; nothing before that.
  std::optional<absl::Time> began_ ABSL_GUARDED_BY(mutex_);
  Reachability reachability_ ABSL_GUARDED_BY(mutex_);
  bool paused_ ABSL_GUARDED_BY(mutex_) = false;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace tessera

#endif  // TESSERA_WORKER_CLIENT_SERVER_LINK_H_
