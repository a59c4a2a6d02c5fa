// One attempt at a PushPullStream: from connecting to the end of the stream.
//
// It has no deadline of its own, since a stream lasts as long as its server.
// What ends it: connecting that takes longer than
// TransportOptions::connect_timeout, the server's greeting included; a
// connection on which nothing is heard, not even an answer to a ping, or into
// which nothing can be written any more (see kKeepaliveInterval); Cancel.

#ifndef TESSERA_WORKER_CLIENT_STREAM_SESSION_H_
#define TESSERA_WORKER_CLIENT_STREAM_SESSION_H_

#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/byte_buffer.h>

#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/live_count.h"
#include "common/base/mutex.h"
#include "common/rpc/byte_buffer.h"
#include "worker/client/stream_sharing.h"

namespace tessera {

// Thread-safe. Lives as long as gRPC will come back to it.
class StreamSession : public std::enable_shared_from_this<StreamSession> {
 public:
  // Told what happens, on threads of the queue's, several at a time if it has
  // several; never while a lock is held.
  class Listener {
   public:
    virtual ~Listener() = default;
    // A Write may be started: the stream began, or the last one is done.
    virtual void OnWritable(StreamSession& session) = 0;
    virtual void OnMessage(StreamSession& session, ReceivedMessage message) = 0;
    // At most once: the server's offer to share memory, or why there is none.
    virtual void OnOffer(StreamSession& session,
                         const absl::StatusOr<std::string>& offer) = 0;
    // Exactly once, and the last news; what was said before may still be under
    // way on other threads.
    virtual void OnEnd(StreamSession& session, const absl::Status& why) = 0;
  };

  // All must outlive the session, which counts in `live`. It asks the server to
  // share memory unless `host_id` is empty; see common/rpc/shm_metadata.h.
  StreamSession(grpc::GenericStub& stub, grpc::CompletionQueue& queue,
                Listener& listener, LiveCount& live, const std::string& host_id,
                std::shared_ptr<StreamSharing> sharing);

  StreamSharing& sharing() const { return *sharing_; }

  // Before anything but Cancel.
  void Start();

  // One at a time: see OnWritable. On a stream that is about to end it does
  // nothing. With `more`, see StreamWriteOptions.
  void Write(const grpc::ByteBuffer& message, bool more);

  // Ends the stream soon.
  void Cancel() { context_.TryCancel(); }

 private:
  void OnStarted(bool ok);
  void OnMetadata(bool ok);
  void ReadNext();
  void OnRead(bool ok);
  void OnWritten(bool ok);
  // Asks for the stream's status once nothing else is under way.
  void MaybeFinish();

  const LiveCount::Token token_;  // First, so destroyed last.
  grpc::GenericStub& stub_;
  grpc::CompletionQueue& queue_;
  Listener& listener_;
  const bool asks_;
  const std::shared_ptr<StreamSharing> sharing_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> stream_;
  grpc::ByteBuffer received_;  // Of the Read under way.
  grpc::Status status_;        // Of the Finish under way.

  Mutex mutex_;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool broken_ ABSL_GUARDED_BY(mutex_) = false;
  bool finishing_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace tessera

#endif  // TESSERA_WORKER_CLIENT_STREAM_SESSION_H_
