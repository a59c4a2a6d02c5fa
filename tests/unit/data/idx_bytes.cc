#include "tests/unit/data/idx_bytes.h"

#include <zlib.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>

namespace tessera {

std::string IdxHeader(const std::vector<uint32_t>& dimensions) {
  std::string bytes = {0, 0, 8, static_cast<char>(dimensions.size())};
  for (uint32_t dimension : dimensions) {
    for (int shift : {24, 16, 8, 0}) {
      bytes.push_back(static_cast<char>(dimension >> shift));
    }
  }
  return bytes;
}

std::string IdxBytes(const std::vector<uint32_t>& dimensions, int first,
                     int step) {
  std::string bytes = IdxHeader(dimensions);
  int64_t count = 1;
  for (uint32_t dimension : dimensions) count *= dimension;
  for (int64_t i = 0; i < count; ++i) {
    bytes.push_back(static_cast<char>((first + i * step) % 256));
  }
  return bytes;
}

std::string Gzipped(const std::string& bytes) {
  z_stream stream = {};
  constexpr int kWindowAndGzip = 15 + 16;
  REQUIRE(deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, kWindowAndGzip,
                       8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string packed(deflateBound(&stream, bytes.size()), '\0');
  stream.next_in =
      reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));  // Only read.
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  REQUIRE(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

std::string WriteTestFile(const std::string& folder, const std::string& name,
                          const std::string& bytes) {
  const std::string path = folder + "/" + name;
  // Not WriteFileAtomically: hundreds of fsyncs would test the disk.
  std::ofstream file(path, std::ios::binary);
  file << bytes;
  file.close();
  REQUIRE(file.good());
  return path;
}

std::string NewFolder() {
  const char* base = std::getenv("TEST_TMPDIR");
  std::string path = std::string(base == nullptr ? "/tmp" : base) + "/XXXXXX";
  REQUIRE(mkdtemp(path.data()) != nullptr);
  return path;
}

}  // namespace tessera
