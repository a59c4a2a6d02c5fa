// SHA-256, by OpenSSL.

#ifndef TESSERA_COMMON_BASE_SHA256_H_
#define TESSERA_COMMON_BASE_SHA256_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"

namespace tessera {

// Digests a sequence of pieces. Not thread-safe.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void Update(const void* data, size_t bytes);

  // Ends the sequence; call it once, and Update not after it.
  std::array<uint8_t, 32> Finish();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

// The digest of `data`.
std::array<uint8_t, 32> Sha256Digest(absl::string_view data);

// 64 lower-case hexadecimal digits.
std::string HexDigest(const std::array<uint8_t, 32>& digest);

}  // namespace tessera

#endif  // TESSERA_COMMON_BASE_SHA256_H_
