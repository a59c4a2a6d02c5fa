// Numbers as bytes, little endian, and frames of them that begin with a word
// and end with a CRC.

#ifndef TESSERA_SERVER_CHECKPOINT_BYTE_FIELDS_H_
#define TESSERA_SERVER_CHECKPOINT_BYTE_FIELDS_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/base/check.h"

namespace tessera {

static_assert(std::endian::native == std::endian::little,
              "checkpoints are little endian, and values go as they are");

// Of every file of a checkpoint.
inline constexpr uint32_t kFormatVersion = 0;

// Fields, one after the other. Not thread-safe.
class FieldWriter {
 public:
  void Bytes(absl::string_view bytes) {
    out_.append(bytes.data(), bytes.size());
  }
  void U32(uint32_t value) { Number(value); }
  void I32(int32_t value) { Number(value); }
  void U64(uint64_t value) { Number(value); }
  void I64(int64_t value) { Number(value); }

  std::string Finish() { return std::move(out_); }
  // With the CRC of all before at the end.
  std::string FinishWithCrc();

 private:
  template <typename T>
  void Number(T value) {
    Bytes({reinterpret_cast<const char*>(&value), sizeof(value)});
  }

  std::string out_;
};

// The same fields back. Reading past the end is the caller's bug.
class FieldReader {
 public:
  explicit FieldReader(absl::string_view bytes) : in_(bytes) {}

  uint32_t U32() { return Number<uint32_t>(); }
  int32_t I32() { return Number<int32_t>(); }
  uint64_t U64() { return Number<uint64_t>(); }
  int64_t I64() { return Number<int64_t>(); }
  void Skip(size_t bytes) { in_.remove_prefix(bytes); }

 private:
  template <typename T>
  T Number() {
    TESSERA_CHECK(in_.size() >= sizeof(T));
    T value;
    std::memcpy(&value, in_.data(), sizeof(T));
    in_.remove_prefix(sizeof(T));
    return value;
  }

  absl::string_view in_;
};

// How a header, footer or manifest begins.
struct Frame {
  absl::string_view name;  // For messages.
  absl::string_view magic;
  bool has_version = false;  // kFormatVersion follows as u32.
};

// Checks length, first word, format version and the CRC at the end of `bytes`,
// which lie at `offset` of their file. Codes: format.h.
absl::Status CheckFrame(const Frame& frame, absl::string_view bytes,
                        int64_t expected_bytes, int64_t offset);

// "its CRC is ..., its bytes give ...".
std::string CrcMismatch(uint32_t stored, uint32_t actual);

}  // namespace tessera

#endif  // TESSERA_SERVER_CHECKPOINT_BYTE_FIELDS_H_
