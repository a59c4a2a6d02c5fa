#include "server/checkpoint/byte_fields.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/storage/crc32c.h"

namespace tessera {

std::string FieldWriter::FinishWithCrc() {
  U32(Crc32c(out_));
  return Finish();
}

absl::Status CheckFrame(const Frame& frame, absl::string_view bytes,
                        int64_t expected_bytes, int64_t offset) {
  const std::string where =
      absl::StrCat(frame.name, " at offset ", offset, ": ");
  if (static_cast<int64_t>(bytes.size()) != expected_bytes) {
    return absl::DataLossError(absl::StrCat(where, "expected ", expected_bytes,
                                            " bytes, found ", bytes.size()));
  }
  if (!absl::StartsWith(bytes, frame.magic)) {
    return absl::DataLossError(absl::StrCat(
        where, "expected the word \"", frame.magic, "\", found other bytes"));
  }
  if (frame.has_version) {
    FieldReader in(bytes.substr(frame.magic.size()));
    const uint32_t version = in.U32();
    // What follows, CRC included, is for that version to say.
    if (version != kFormatVersion) {
      return absl::FailedPreconditionError(
          absl::StrCat(where, "it is of format version ", version,
                       "; this program reads ", kFormatVersion));
    }
  }
  const size_t crc_offset = bytes.size() - sizeof(uint32_t);
  FieldReader in(bytes.substr(crc_offset));
  const uint32_t stored = in.U32();
  const uint32_t actual = Crc32c(bytes.substr(0, crc_offset));
  if (stored == actual) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(where, CrcMismatch(stored, actual)));
}

std::string CrcMismatch(uint32_t stored, uint32_t actual) {
  return absl::StrFormat("its CRC is 0x%08x, its bytes give 0x%08x", stored,
                         actual);
}

}  // namespace tessera
