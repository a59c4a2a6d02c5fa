// Reads IDX files, plain and gzip-compressed.

#include <cstring>
#include <vector>

#include "absl/types/span.h"
#include "common/base/check.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/fuzz/memory_file.h"
#include "worker/data/idx_file.h"

namespace tessera {
namespace {

// The file that the format's description asks for.
std::vector<uint8_t> Encode(const IdxArray& array) {
  std::vector<uint8_t> bytes = {0, 0, 8,
                                static_cast<uint8_t>(array.dimensions.size())};
  for (int64_t dimension : array.dimensions) {
    for (int shift : {24, 16, 8, 0}) {
      bytes.push_back(static_cast<uint8_t>(dimension >> shift));
    }
  }
  bytes.insert(bytes.end(), array.values.begin(), array.values.end());
  return bytes;
}

bool IsCompressed(absl::Span<const uint8_t> bytes) {
  return bytes.size() >= 2 && bytes[0] == 0x1f && bytes[1] == 0x8b;
}

void Check(absl::Span<const uint8_t> bytes) {
  static MemoryFile& file = *new MemoryFile;
  file.Write(bytes);
  const auto dimensions = ReadIdxDimensions(file.path());
  const auto array = ReadIdxFile(file.path());
  for (const absl::Status& status : {dimensions.status(), array.status()}) {
    TESSERA_CHECK(status.ok() || absl::IsInvalidArgument(status));
  }
  if (!array.ok()) return;
  TESSERA_CHECK(dimensions.ok() && *dimensions == array->dimensions);
  const std::vector<uint8_t> encoded = Encode(*array);
  if (!IsCompressed(bytes)) {
    TESSERA_CHECK(absl::MakeConstSpan(encoded) == bytes);
    return;
  }
  file.Write(encoded);
  const auto again = ReadIdxFile(file.path());
  TESSERA_CHECK(again.ok() && again->values == array->values);
}

}  // namespace
}  // namespace tessera

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tessera::Check({data, size});
  return 0;
}
