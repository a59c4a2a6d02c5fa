// How a received payload gets to a GPU: through pinned memory, a piece at a
// time, so that the processor fills the next piece while the last one travels.
//
//   received slices --memcpy--> [pinned |  |  |  ] --stream--> [device memory]
//
// Slices lie in ordinary memory, which a GPU cannot read while the processor
// goes on; memory once pinned is used over and over, because pinning costs more
// than a copy.

#ifndef TESSERA_SERVER_SHARD_CUDA_STAGING_H_
#define TESSERA_SERVER_SHARD_CUDA_STAGING_H_

#include <cstddef>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/device/device.h"
#include "common/tensor/fragments.h"

namespace tessera {

// Room for one payload on both sides. Not thread-safe.
class Staging {
 public:
  // What travels at once: long enough for the bus to be busy, short enough for
  // the processor to be ahead.
  static constexpr size_t kPieceBytes = 256 << 10;

  // For payloads of up to `bytes`. The device must outlive it. Codes: as
  // common/device/device.h.
  static absl::StatusOr<Staging> Create(Device& device, size_t bytes);

  // Enqueues the payload's way to device_data() on `stream`. What was sent
  // before must have arrived; the payload itself may go. It must fit.
  absl::Status Send(const FragmentedBytes& payload, Stream& stream);

  const void* device_data() const { return device_.data(); }

 private:
  Staging(Memory pinned, Memory device)
      : pinned_(std::move(pinned)), device_(std::move(device)) {}

  absl::Status SendRange(size_t begin, size_t end, Stream& stream);

  Memory pinned_;
  Memory device_;
};

}  // namespace tessera

#endif  // TESSERA_SERVER_SHARD_CUDA_STAGING_H_
