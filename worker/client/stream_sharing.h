// One stream's shared memory, as the client sees it.
//
//   asked ---> connecting ---> up          the server's offer, then a handshake
//          \-------------\---> refused     (see common/rpc/shm_metadata.h)
//
//   gradient in our region -- PlaceOf --> named in requests
//   named in answers -- Lent --> BlockView -- destroyed --> AddReleased: the
//                                                server may have it back

#ifndef TESSERA_WORKER_CLIENT_STREAM_SHARING_H_
#define TESSERA_WORKER_CLIENT_STREAM_SHARING_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/base/mutex.h"
#include "common/shm/shared_region.h"
#include "common/shm/shm_link.h"
#include "tessera/v1/parameter.pb.h"
#include "worker/client/block_view.h"

namespace tessera {

// Thread-safe. Lives as long as its stream, or a view of what it was lent.
class StreamSharing : public std::enable_shared_from_this<StreamSharing> {
 public:
  using Answers = std::vector<v1::PushPullResponse>;

  // So many releases do not wait for the next call to go with.
  static constexpr size_t kManyReleases = 16;

  enum class Hurry {
    kSoon,  // There is something to release; not said again until it is gone.
    kNow,   // There is much.
  };
  // Called under a lock: it must be short, and call nothing here.
  using OnReleased = std::function<void(Hurry)>;

  // `region` is ours, which the server may read; null when there is none.
  StreamSharing(std::shared_ptr<SharedRegion> region, OnReleased on_released);

  // How the handshake ended, null when the server refused. Returns the answers
  // that came while it went on, which Lent can judge now. Once.
  Answers Settle(std::unique_ptr<ShmLink> link);

  // Whether both sides may name shared memory.
  bool up() const { return link_.load(std::memory_order_acquire) != nullptr; }

  const SharedRegion* region() const { return region_.get(); }

  // Where these bytes lie, if the server can see them.
  std::optional<v1::SharedBytes> PlaceOf(absl::Span<const uint8_t> bytes) const;

  // The values of an answer that says where they lie. Null when that cannot be
  // said yet; the answer is kept for Settle then. Code: INTERNAL when it names
  // what is not there.
  absl::StatusOr<std::optional<BlockView>> Lent(
      const v1::PushPullResponse& answer);

  // Adds releases to a message that is about to be written, as many as fit.
  void AddReleased(v1::PushPullRequest& message);
  // Those that are still to be told.
  size_t released() const;

  // The stream is over: nobody is told of releases any more.
  void Close();

 private:
  class LentSource;

  void Release(uint64_t id);

  const std::shared_ptr<SharedRegion> region_;
  // What `owned_link_` holds, once it does.
  std::atomic<const ShmLink*> link_ = nullptr;

  mutable Mutex mutex_;
  OnReleased on_released_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<ShmLink> owned_link_ ABSL_GUARDED_BY(mutex_);
  bool settled_ ABSL_GUARDED_BY(mutex_) = false;
  Answers early_ ABSL_GUARDED_BY(mutex_);
  std::vector<uint64_t> released_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tessera

#endif  // TESSERA_WORKER_CLIENT_STREAM_SHARING_H_
