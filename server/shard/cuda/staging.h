// How a received payload gets to a GPU: through a ring of pinned pieces, so
// that the processor fills the next piece while the last ones travel.
//
//   received slices --memcpy--> [0 | 1 | 2 | 3] --stream--> [device memory]
//                                ^ filled again once it has left
//
// Slices lie in ordinary memory, which a GPU cannot read while the processor
// goes on; memory once pinned is used over and over, because pinning costs more
// than a copy. gRPC hands over a message when it is whole, so what a payload's
// travel overlaps with is its own copying and the reception of other blocks,
// which have rings of their own.

#ifndef TESSERA_SERVER_SHARD_CUDA_STAGING_H_
#define TESSERA_SERVER_SHARD_CUDA_STAGING_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/device/device.h"
#include "common/tensor/fragments.h"

namespace tessera {

// A ring, and room for one payload on the device. Not thread-safe.
class Staging {
 public:
  // What travels at once: long enough for the bus to be busy, short enough for
  // the processor to be ahead.
  static constexpr size_t kPieceBytes = 256 << 10;
  // Pinned pieces, however long payloads are: one is being filled, one travels,
  // and two make up for a processor that is late or early.
  static constexpr size_t kPieces = 4;

  // For payloads of up to `bytes`. The device must outlive it. Codes: as
  // common/device/device.h.
  static absl::StatusOr<Staging> Create(Device& device, size_t bytes);

  // Puts the payload on its way to device_data() on `stream`, the same one each
  // time, waiting on this thread for pieces that are still under way. The
  // payload may go at once. It must fit.
  absl::Status Send(const FragmentedBytes& payload, Stream& stream);

  const void* device_data() const { return device_.data(); }

 private:
  Staging(Memory pinned, Memory device,
          std::vector<std::unique_ptr<Event>> departures)
      : pinned_(std::move(pinned)),
        device_(std::move(device)),
        departures_(std::move(departures)) {}

  uint8_t* PieceData() const {
    return static_cast<uint8_t*>(pinned_.data()) + piece_ * kPieceBytes;
  }

  // Sends what the current piece holds to [at, at + filled) of the device's
  // room, and goes on to the next piece.
  absl::Status SendPiece(size_t at, size_t filled, Stream& stream);

  Memory pinned_;
  Memory device_;
  // When each piece was last read to its end.
  std::vector<std::unique_ptr<Event>> departures_;
  // The one that is filled next.
  size_t piece_ = 0;
};

}  // namespace tessera

#endif  // TESSERA_SERVER_SHARD_CUDA_STAGING_H_
