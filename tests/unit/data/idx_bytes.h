// IDX files for the tests of this folder: good ones, to be broken at will.

#ifndef TESSERA_TESTS_UNIT_DATA_IDX_BYTES_H_
#define TESSERA_TESTS_UNIT_DATA_IDX_BYTES_H_

#include <cstdint>
#include <string>
#include <vector>

namespace tessera {

// A header, and nothing after it.
std::string IdxHeader(const std::vector<uint32_t>& dimensions);

// A header with its values; value i is (first + i * step) % 256.
std::string IdxBytes(const std::vector<uint32_t>& dimensions, int first = 0,
                     int step = 1);

// Compressed, as `gzip` does.
std::string Gzipped(const std::string& bytes);

// Writes a file in `folder` and gives its path.
std::string WriteTestFile(const std::string& folder, const std::string& name,
                          const std::string& bytes);

// A new empty folder.
std::string NewFolder();

}  // namespace tessera

#endif  // TESSERA_TESTS_UNIT_DATA_IDX_BYTES_H_
