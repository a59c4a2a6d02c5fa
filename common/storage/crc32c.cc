#include "common/storage/crc32c.h"

#include <isa-l/crc.h>

#include <algorithm>
#include <cstddef>

namespace tessera {
namespace {

// ISA-L counts in ints.
constexpr size_t kMaxBytesAtOnce = size_t{1} << 30;

}  // namespace

uint32_t ExtendCrc32c(uint32_t crc, absl::string_view b) {
  // ISA-L takes and gives the bare register, and writes nothing although its
  // pointer is not const.
  uint32_t state = ~crc;
  while (!b.empty()) {
    const size_t bytes = std::min(b.size(), kMaxBytesAtOnce);
    auto* data = reinterpret_cast<unsigned char*>(const_cast<char*>(b.data()));
    state = crc32_iscsi(data, static_cast<int>(bytes), state);
    b.remove_prefix(bytes);
  }
  return ~state;
}

}  // namespace tessera
