// A client's link to one server: the calls that it has not answered, the stream
// that carries pushes, and what happens when that breaks.
//
//   Start --> to_stream_ --(one Write at a time)--> StreamSession --> answers
//        \--> to_call_ ------------------------> UnaryAttempts --> answers
//
//   a failure of the transport: everything unanswered goes back into the
//   queues, and out again after a pause

#ifndef TESSERA_WORKER_CLIENT_SERVER_LINK_H_
#define TESSERA_WORKER_CLIENT_SERVER_LINK_H_

#include <grpcpp/channel.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/generic/generic_stub.h>

#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/live_count.h"
#include "common/base/mutex.h"
#include "worker/client/block_call.h"
#include "worker/client/callback_queue.h"
#include "worker/client/reachability.h"
#include "worker/client/stream_session.h"
#include "worker/client/unary_attempt.h"

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

  // Repeats the call until it has an answer, or there is no hope.
  void Start(std::shared_ptr<BlockCall> call);

  // Ends all calls with CANCELLED, on the callbacks' thread.
  void CancelAll();

  // To be called before the queue is shut down: starts nothing any more, and
  // waits until nothing is under way.
  void Close();

 private:
  using CallPtr = std::shared_ptr<BlockCall>;
  // Calls to end, once the lock is released.
  using Endings = std::vector<std::pair<CallPtr, absl::Status>>;

  void OnWritable(StreamSession& session) override;
  void OnMessage(StreamSession& session, ReceivedMessage message) override;
  void OnEnd(StreamSession& session, const absl::Status& why) override;
  void OnUnaryEnd(uint64_t id, absl::StatusOr<ReceivedMessage> message);

  // Sends what can be sent now. gRPC is never entered with the lock held.
  void Pump();
  void PumpStream();
  void PumpUnary();
  void StartUnary(const CallPtr& call);

  // Takes a call out, to end it; null when it has ended.
  CallPtr TakeCall(uint64_t id);
  // Ends a call that was taken out with what its answer says.
  void EndWith(BlockCall& call, const ReceivedMessage& message);
  // An attempt at this call came to nothing, through no fault of its own.
  void Retry(uint64_t id, const absl::Status& why);
  void Wake();

  void Enqueue(const CallPtr& call) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The next of these calls that has not ended; null when there is none.
  CallPtr PopCall(std::deque<uint64_t>& ids)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Endings TakeAll(const absl::Status& why, bool only_streamed)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
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
  LiveCount live_;  // Sessions and attempts.

  Mutex mutex_;
  std::map<uint64_t, CallPtr> calls_ ABSL_GUARDED_BY(mutex_);
  // Ids to be sent; some may have ended.
  std::deque<uint64_t> to_stream_ ABSL_GUARDED_BY(mutex_);
  std::deque<uint64_t> to_call_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<StreamSession> session_ ABSL_GUARDED_BY(mutex_);
  bool writable_ ABSL_GUARDED_BY(mutex_) = false;
  // When the session's stream began; nothing before that.
  std::optional<absl::Time> began_ ABSL_GUARDED_BY(mutex_);
  std::map<uint64_t, std::shared_ptr<UnaryAttempt>> attempts_
      ABSL_GUARDED_BY(mutex_);
  Reachability reachability_ ABSL_GUARDED_BY(mutex_);
  bool paused_ ABSL_GUARDED_BY(mutex_) = false;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace tessera

#endif  // TESSERA_WORKER_CLIENT_SERVER_LINK_H_
