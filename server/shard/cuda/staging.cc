#include "server/shard/cuda/staging.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "common/base/check.h"
#include "common/base/status_macros.h"

namespace tessera {

absl::StatusOr<Staging> Staging::Create(Device& device, size_t bytes) {
  TESSERA_ASSIGN_OR_RETURN(Memory pinned,
                           device.Allocate(MemoryKind::kHost, bytes));
  TESSERA_ASSIGN_OR_RETURN(Memory there,
                           device.Allocate(MemoryKind::kDevice, bytes));
  return Staging(std::move(pinned), std::move(there));
}

absl::Status Staging::SendRange(size_t begin, size_t end, Stream& stream) {
  return stream.Copy(static_cast<uint8_t*>(device_.data()) + begin,
                     static_cast<const uint8_t*>(pinned_.data()) + begin,
                     end - begin);
}

absl::Status Staging::Send(const FragmentedBytes& payload, Stream& stream) {
  TESSERA_CHECK(payload.size() <= pinned_.bytes());
  auto* const pinned = static_cast<uint8_t*>(pinned_.data());
  size_t sent = 0;
  size_t filled = 0;
  for (FragmentedBytes::Piece rest : payload.pieces()) {
    while (!rest.empty()) {
      const size_t n = std::min(rest.size(), sent + kPieceBytes - filled);
      std::memcpy(pinned + filled, rest.data(), n);
      filled += n;
      rest.remove_prefix(n);
      if (filled < sent + kPieceBytes) continue;
      TESSERA_RETURN_IF_ERROR(SendRange(sent, filled, stream));
      sent = filled;
    }
  }
  return SendRange(sent, filled, stream);
}

}  // namespace tessera
