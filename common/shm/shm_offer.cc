#include "common/shm/shm_offer.h"

#include <unistd.h>

#include <climits>
#include <cstring>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "common/base/sha256.h"

namespace tessera {
namespace {

constexpr absl::string_view kVersion = "1";
constexpr size_t kDigits = 2 * sizeof(ShmOffer::token);
constexpr size_t kTextBytes = kVersion.size() + 1 + kDigits + 1 + kDigits;

std::string Hex(const std::array<uint8_t, 16>& bytes) {
  return absl::BytesToHexString(absl::string_view(
      reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

// Whether `digits`, of the right number, are lower-case hexadecimal ones.
bool FromHex(absl::string_view digits, std::array<uint8_t, 16>& bytes) {
  if (digits.find_first_not_of("0123456789abcdef") != absl::string_view::npos) {
    return false;
  }
  const std::string raw = absl::HexStringToBytes(digits);
  std::memcpy(bytes.data(), raw.data(), bytes.size());
  return true;
}

// Empty when the kernel does not say.
std::string NetworkNamespace() {
  char name[NAME_MAX];
  const ssize_t length = readlink("/proc/self/ns/net", name, sizeof(name));
  return length > 0 ? std::string(name, static_cast<size_t>(length)) : "";
}

}  // namespace

std::string ToString(const ShmOffer& offer) {
  return absl::StrCat(kVersion, ".", Hex(offer.socket), ".", Hex(offer.token));
}

absl::StatusOr<ShmOffer> ParseShmOffer(absl::string_view text) {
  ShmOffer offer;
  const size_t socket = kVersion.size() + 1;
  const size_t token = socket + kDigits + 1;
  if (text.size() != kTextBytes || text.substr(0, socket) != "1." ||
      text[token - 1] != '.' ||
      !FromHex(text.substr(socket, kDigits), offer.socket) ||
      !FromHex(text.substr(token), offer.token)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the offer of shared memory has ", text.size(),
        " characters that are not \"1.\", 32 lower-case hexadecimal digits, "
        "\".\" and 32 more"));
  }
  return offer;
}

std::string ShmHostId() {
  const absl::StatusOr<std::string> boot =
      ReadFile("/proc/sys/kernel/random/boot_id");
  const std::string network = NetworkNamespace();
  if (!boot.ok() || boot->empty() || network.empty()) return "";
  return HexDigest(
      Sha256Digest(absl::StrCat(*boot, "\n", network, "\n", geteuid())));
}

}  // namespace tessera
