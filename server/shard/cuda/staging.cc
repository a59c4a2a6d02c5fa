#include "server/shard/cuda/staging.h"

#include <algorithm>
#include <cstring>

#include "common/base/check.h"
#include "common/base/status_macros.h"

namespace tessera {

absl::StatusOr<Staging> Staging::Create(Device& device, size_t bytes) {
  const size_t pieces =
      std::clamp((bytes + kPieceBytes - 1) / kPieceBytes, size_t{1}, kPieces);
  // A ring of one piece need not be longer than the payload.
  TESSERA_ASSIGN_OR_RETURN(
      Memory pinned, device.Allocate(MemoryKind::kHost,
                                     std::min(bytes, pieces * kPieceBytes)));
  TESSERA_ASSIGN_OR_RETURN(Memory there,
                           device.Allocate(MemoryKind::kDevice, bytes));
  std::vector<std::unique_ptr<Event>> departures(pieces);
  for (std::unique_ptr<Event>& departure : departures) {
    TESSERA_ASSIGN_OR_RETURN(departure, device.CreateEvent());
  }
  return Staging(std::move(pinned), std::move(there), std::move(departures));
}

absl::Status Staging::SendPiece(size_t at, size_t filled, Stream& stream) {
  if (filled == 0) return absl::OkStatus();
  TESSERA_RETURN_IF_ERROR(stream.Copy(
      static_cast<uint8_t*>(device_.data()) + at, PieceData(), filled));
  TESSERA_RETURN_IF_ERROR(stream.Record(*departures_[piece_]));
  piece_ = (piece_ + 1) % departures_.size();
  return absl::OkStatus();
}

absl::Status Staging::Send(const FragmentedBytes& payload, Stream& stream) {
  TESSERA_CHECK(payload.size() <= device_.bytes());
  size_t sent = 0;
  size_t filled = 0;
  for (FragmentedBytes::Piece rest : payload.pieces()) {
    while (!rest.empty()) {
      if (filled == 0) {
        TESSERA_RETURN_IF_ERROR(departures_[piece_]->Synchronize());
      }
      const size_t n = std::min(rest.size(), kPieceBytes - filled);
      std::memcpy(PieceData() + filled, rest.data(), n);
      filled += n;
      rest.remove_prefix(n);
      if (filled < kPieceBytes) continue;
      TESSERA_RETURN_IF_ERROR(SendPiece(sent, filled, stream));
      sent += std::exchange(filled, 0);
    }
  }
  return SendPiece(sent, filled, stream);
}

}  // namespace tessera
