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
// that waits for nobody. What bounds these waits is said at StreamSession; a
// call bounds its own by nothing, because a step takes as long as it takes.

#ifndef TESSERA_WORKER_CLIENT_SERVER_LINK_H_
#define TESSERA_WORKER_CLIENT_SERVER_LINK_H_

#include <grpcpp/channel.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/generic/generic_stub.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/live_count.h"
#include "common/base/mutex.h"
#include "worker/client/block_call.h"
#include "worker/client/call_queue.h"
#include "worker/client/callback_queue.h"
#include "worker/client/link_memory.h"
#include "worker/client/parameter_client.h"
#include "worker/client/reachability.h"
#include "worker/client/stream_session.h"

namespace tessera {

struct TrafficCounters {
  std::atomic<int64_t> pushed_bytes = 0;
  std::atomic<int64_t> pulled_bytes = 0;
  std::atomic<int64_t> retries = 0;
};

// What a link works with; all outlives it.
struct LinkTools {
  grpc::CompletionQueue& queue;
  CallbackQueue& callbacks;
  // For handshakes, which block.
  CallbackQueue& helper;
  TrafficCounters& traffic;
};

// Thread-safe.
class ServerLink : public StreamSession::Listener {
 public:
  // Looks at `options` for what all links have in common.
  ServerLink(ServerIdentity server, const ParameterClientOptions& options,
             std::shared_ptr<grpc::Channel> channel, const LinkTools& tools);
  ~ServerLink() override;

  const ServerIdentity& server() const { return server_; }

  // Repeats the call until it has an answer, or there is no hope. It must have
  // been made for this link's server.
  void Start(std::shared_ptr<BlockCall> call);

  // Connects, if need be, and waits until memory is shared. Codes: as
  // ParameterClient::AwaitSharedMemory.
  absl::Status AwaitSharedMemory(absl::Time deadline);

  // Ends all calls with CANCELLED, on the callbacks' thread.
  void CancelAll();

  // See ParameterClient::UseRegion; after CancelAll.
  void UseRegion(std::shared_ptr<SharedRegion> region) {
    memory_.UseRegion(std::move(region));
  }

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
  void OnOffer(StreamSession& session,
               const absl::StatusOr<std::string>& offer) override;
  void OnEnd(StreamSession& session, const absl::Status& why) override;

  // What to do next with the stream, if it has a session.
  struct Step {
    enum Kind {
      kBegin,
      kCall,
      kNoCall,  // A message that only says what was released, if anything.
    };
    Kind kind = kBegin;
    std::shared_ptr<StreamSession> session;
    CallPtr call;
    std::optional<v1::SharedBytes> place;
    bool more = false;  // Calls, after this one.
  };

  // Does what can be done now. gRPC is never entered with the lock held.
  void Pump();
  Step NextStep();
  std::shared_ptr<StreamSession> NewSession()
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void DropSession() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // A stream that is no good: ends it, and all calls, which it would be the
  // same for.
  void EndStream(StreamSession& session, const absl::Status& why);

  // The handshake of this session's shared memory has ended.
  void OnMemory(StreamSession& session,
                absl::StatusOr<std::unique_ptr<ShmLink>> link);
  // An answer whose values the server has lent.
  void TakeLent(StreamSession& session, const v1::PushPullResponse& answer);
  // Ends a call with what its answer says, if it has not ended.
  void TakeAnswer(const v1::PushPullResponse& answer, BlockView values);
  // An attempt at this call came to nothing, through no fault of its own.
  void Repeat(uint64_t id, const absl::Status& why);
  // Likewise for a call that was taken out.
  void SendAgain(CallPtr call, const absl::Status& why);
  void OnReleased(StreamSharing::Hurry hurry);
  void Release();
  void End(const Endings& endings);

  // After a failure of the transport: pauses, or gives up on all calls. Tells
  // of an outage, on the callbacks' thread.
  Endings Pause(const absl::Status& why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Annotate(const absl::Status& status) const;

  const ServerIdentity server_;
  const absl::Duration unreachable_after_;
  const std::function<void(const std::string&)> on_outage_;
  const std::shared_ptr<grpc::Channel> channel_;
  const LinkTools tools_;
  LinkMemory memory_;
  grpc::GenericStub stub_;
  LiveCount live_;  // Sessions.
  std::atomic<bool> release_timed_ = false;

  Mutex mutex_;
  CallQueue calls_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<StreamSession> session_ ABSL_GUARDED_BY(mutex_);
  bool writable_ ABSL_GUARDED_BY(mutex_) = false;
  // The last message may wait in gRPC for the next one, which must come even if
  // the call that it was promised for has ended.
  bool more_promised_ ABSL_GUARDED_BY(mutex_) = false;
  // A stream is wanted even when there are no calls.
  bool wanted_ ABSL_GUARDED_BY(mutex_) = false;
  bool release_due_ ABSL_GUARDED_BY(mutex_) = false;
  // When the session's stream began; nothing before that.
  std::optional<absl::Time> began_ ABSL_GUARDED_BY(mutex_);
  Reachability reachability_ ABSL_GUARDED_BY(mutex_);
  bool paused_ ABSL_GUARDED_BY(mutex_) = false;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace tessera

#endif  // TESSERA_WORKER_CLIENT_SERVER_LINK_H_
