// CRC32C (Castagnoli), the checksum of everything that checkpoints write.
//
// Polynomial 0x1EDC6F41, reflected, register preset to ones and inverted at the
// end: RFC 3720, 12.1 and B.4. Finds every error of one or two bits and every
// burst of up to 32 bits in anything we put under it. ISA-L computes it, with
// the processor's own instruction where there is one.

#ifndef TESSERA_COMMON_STORAGE_CRC32C_H_
#define TESSERA_COMMON_STORAGE_CRC32C_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace tessera {

// The CRC of a + b, where `crc` is that of a; `crc` of nothing is 0.
uint32_t ExtendCrc32c(uint32_t crc, absl::string_view b);

// The CRC of `data`.
inline uint32_t Crc32c(absl::string_view data) { return ExtendCrc32c(0, data); }

}  // namespace tessera

#endif  // TESSERA_COMMON_STORAGE_CRC32C_H_
