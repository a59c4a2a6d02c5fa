// The memory that one stream's two ends have lent each other.
//
//   worker's region --- gradients that requests name --> Gradient
//   versions in the server's region <--- answers --- Lend
//                                 released, or the stream's end --> let go

#ifndef TESSERA_SERVER_SERVICE_STREAM_LOANS_H_
#define TESSERA_SERVER_SERVICE_STREAM_LOANS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/base/mutex.h"
#include "common/shm/shared_region.h"
#include "common/shm/shm_host.h"
#include "common/tensor/fragments.h"
#include "server/service/parameter_handler.h"
#include "tessera/v1/parameter.pb.h"

namespace tessera {

// A server's shared memory. Outlives the streams.
struct ServerMemory {
  // Both null when the server shares none; then `why_not` says why.
  std::shared_ptr<SharedRegion> region;
  std::unique_ptr<ShmHost> host;
  std::string host_id;  // ShmHostId()
  std::string why_not;
};

// Thread-safe, but for Gradient, which is for the stream's reader.
class StreamLoans {
 public:
  // What to say to the client, as a pair of metadata.
  struct Reply {
    std::string key;
    std::string value;
  };

  // At most `max_lent` versions are lent at a time, so that a worker that keeps
  // what it gets costs no more memory than that.
  StreamLoans(const ServerMemory& memory, size_t max_lent)
      : memory_(memory), max_lent_(max_lent) {}
  ~StreamLoans() { End(); }

  // A client that is on this host asks for shared memory. Once.
  Reply Ask(absl::string_view host_id);

  // The client's memory, as long as this object lives. Codes:
  // FAILED_PRECONDITION for a client that shares none (yet), which may send the
  // bytes themselves; INVALID_ARGUMENT for a place outside of what it shares.
  absl::StatusOr<FragmentedBytes> Gradient(const v1::SharedBytes& place);

  // Whether the client can be told where the version lies instead of its bytes.
  // Then says so in the header, and keeps the version until it is released.
  bool Lend(PushPullReply& reply);

  // The client has done with these answers.
  void Release(const v1::PushPullRequest& request);

  // Takes everything back: the client knows that what it still reads is void.
  void End();

  // Versions that are lent now.
  size_t lent() const;

 private:
  const ServerMemory& memory_;
  const size_t max_lent_;
  // The client's region, once it has been read from.
  std::shared_ptr<const SharedView> gradients_;

  mutable Mutex mutex_;
  std::shared_ptr<ShmSession> session_ ABSL_GUARDED_BY(mutex_);
  // By request_id. Let go only once the session is revoked.
  absl::flat_hash_map<uint64_t, std::shared_ptr<const void>> lent_
      ABSL_GUARDED_BY(mutex_);
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace tessera

#endif  // TESSERA_SERVER_SERVICE_STREAM_LOANS_H_
