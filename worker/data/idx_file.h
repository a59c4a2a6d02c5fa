// The IDX format of MNIST (http://yann.lecun.com/exdb/mnist/), plain or
// gzip-compressed; which of the two is seen from the contents, not the name.
//
//   0 0 type rank | dimension, rank times | values, row-major
//   1 1 1    1    | 4, big endian         | 1 each, as type 8 is unsigned byte

#ifndef TESSERA_WORKER_DATA_IDX_FILE_H_
#define TESSERA_WORKER_DATA_IDX_FILE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace tessera {

struct IdxArray {
  std::vector<int64_t> dimensions;
  std::vector<uint8_t> values;
};

// Reads the dimensions alone. Codes: NOT_FOUND, PERMISSION_DENIED or what errno
// maps to when the file cannot be read; INVALID_ARGUMENT for what is no IDX
// file of unsigned bytes of rank 1 to 4, has a dimension of 0 or more than 2^40
// values, or is cut. Every message names the file.
absl::StatusOr<std::vector<int64_t>> ReadIdxDimensions(const std::string& path);

// Reads the whole file. Memory grows with what is really there, so a header
// that promises too much costs nothing. Codes: as above; INVALID_ARGUMENT also
// when the file holds fewer or more values than its dimensions say, or its
// compressed data is damaged; RESOURCE_EXHAUSTED when it does not fit in
// memory.
absl::StatusOr<IdxArray> ReadIdxFile(const std::string& path);

}  // namespace tessera

#endif  // TESSERA_WORKER_DATA_IDX_FILE_H_
