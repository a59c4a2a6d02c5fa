// Whether, and how, a link to one server shares memory with it.

#ifndef TESSERA_WORKER_CLIENT_LINK_MEMORY_H_
#define TESSERA_WORKER_CLIENT_LINK_MEMORY_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/mutex.h"
#include "common/shm/shared_region.h"
#include "common/shm/shm_link.h"
#include "worker/client/call_queue.h"
#include "worker/client/callback_queue.h"
#include "worker/client/parameter_client.h"
#include "worker/client/stream_sharing.h"

namespace tessera {

// Thread-safe. A handshake has five seconds, on this machine.
class LinkMemory {
 public:
  using Connected =
      std::function<void(absl::StatusOr<std::unique_ptr<ShmLink>>)>;

  // `helper` is for handshakes, which block.
  LinkMemory(Transport transport, std::shared_ptr<SharedRegion> region,
             CallbackQueue& helper);

  // What to ask a server with; empty when it is not to be asked.
  const std::string& host_id() const { return host_id_; }

  // Whether calls must not travel otherwise.
  bool required() const { return transport_ == Transport::kSharedMemory; }

  // Streams from now on share `region` instead; see
  // ParameterClient::UseRegion.
  void UseRegion(std::shared_ptr<SharedRegion> region);

  // For a new stream.
  std::shared_ptr<StreamSharing> NewStream(
      StreamSharing::OnReleased on_released) const;

  // Takes up the offer, or the refusal, of `stream`'s server, and calls
  // `connected`, which must keep the stream: now, or on the helper's thread.
  void TakeUp(const absl::StatusOr<std::string>& offer,
              const StreamSharing& stream, Connected connected);

  // The stream now shares memory, or why it does not; and that it has ended.
  void Settled(const absl::Status& status);
  void Unsettled();

  // Waits until the server's stream shares memory. Codes: DEADLINE_EXCEEDED;
  // FAILED_PRECONDITION when it will not.
  absl::Status Await(absl::Time deadline);

  // These calls end without an answer. Servers may still be about to read their
  // gradients in shared memory, which must therefore not change any more.
  void Abandon(const std::vector<CallQueue::CallPtr>& calls) const;

 private:
  const Transport transport_;
  CallbackQueue& helper_;
  const std::string host_id_;

  mutable Mutex mutex_;
  std::shared_ptr<SharedRegion> region_ ABSL_GUARDED_BY(mutex_);
  std::optional<absl::Status> settled_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tessera

#endif  // TESSERA_WORKER_CLIENT_LINK_MEMORY_H_
