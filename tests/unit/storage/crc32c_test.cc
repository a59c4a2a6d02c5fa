#include "common/storage/crc32c.h"

#include <catch2/catch.hpp>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace tessera {
namespace {

// The definition, one bit at a time.
uint32_t ReferenceCrc(absl::string_view data) {
  uint32_t state = 0xffffffff;
  for (const char c : data) {
    state ^= static_cast<uint8_t>(c);
    for (int bit = 0; bit < 8; ++bit) {
      state = (state >> 1) ^ ((state & 1) != 0 ? 0x82f63b78u : 0u);
    }
  }
  return ~state;
}

std::string Ascending(int bytes, int first = 0) {
  std::string data;
  for (int i = 0; i < bytes; ++i) data += static_cast<char>(first + i);
  return data;
}

TEST_CASE("the vectors of RFC 3720, B.4", "[crc32c]") {
  CHECK(Crc32c(std::string(32, '\0')) == 0x8a9136aa);
  CHECK(Crc32c(std::string(32, '\xff')) == 0x62a8ab43);
  CHECK(Crc32c(Ascending(32)) == 0x46dd794e);
  std::string descending = Ascending(32);
  descending.assign(descending.rbegin(), descending.rend());
  CHECK(Crc32c(descending) == 0x113fdb5c);
  // An iSCSI SCSI Read (10) command.
  const unsigned char command[48] = {
      0x01, 0xc0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,    0, 0, 0, 0,
      0x14, 0,    0, 0, 0, 0, 4, 0, 0, 0, 0, 0x14, 0, 0, 0, 0x18,
      0x28, 0,    0, 0, 0, 0, 0, 0, 2, 0, 0, 0,    0, 0, 0, 0};
  CHECK(Crc32c({reinterpret_cast<const char*>(command), sizeof(command)}) ==
        0xd9963a56);
}

TEST_CASE("nothing has CRC 0, and adds nothing", "[crc32c]") {
  CHECK(Crc32c("") == 0);
  CHECK(ExtendCrc32c(Crc32c("abc"), "") == Crc32c("abc"));
}

TEST_CASE("every length and alignment, against the definition", "[crc32c]") {
  const std::string data = Ascending(700, 7);
  for (size_t begin = 0; begin < 16; ++begin) {
    for (size_t bytes = 0; bytes + begin <= 680; bytes += bytes < 40 ? 1 : 37) {
      const absl::string_view piece(data.data() + begin, bytes);
      REQUIRE(Crc32c(piece) == ReferenceCrc(piece));
    }
  }
}

TEST_CASE("a CRC in parts is the CRC of the whole", "[crc32c]") {
  const std::string data = Ascending(600, 3);
  const absl::string_view all(data);
  const uint32_t whole = Crc32c(all);
  for (size_t cut = 0; cut <= data.size(); cut += 13) {
    CHECK(ExtendCrc32c(Crc32c(all.substr(0, cut)), all.substr(cut)) == whole);
  }
}

TEST_CASE("every flip of one bit changes the CRC", "[crc32c]") {
  std::string data = Ascending(64);
  const uint32_t good = Crc32c(data);
  for (size_t bit = 0; bit < data.size() * 8; ++bit) {
    data[bit / 8] ^= static_cast<char>(1 << bit % 8);
    CHECK(Crc32c(data) != good);
    data[bit / 8] ^= static_cast<char>(1 << bit % 8);
  }
}

}  // namespace
}  // namespace tessera
