// Reads safetensors files.

#include <cstring>
#include <set>
#include <string>

#include "absl/types/span.h"
#include "common/base/check.h"
#include "deploy/report/safetensors.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/fuzz/memory_file.h"

namespace tessera {
namespace {

// Elements, or -1 when a dimension is below 0.
int64_t Elements(const NamedTensor& tensor) {
  int64_t elements = 1;
  for (int64_t dimension : tensor.shape) {
    if (dimension < 0) return -1;
    elements = dimension == 0 ? 0 : elements * dimension;
  }
  return elements;
}

// The tensors' values, one after the other, must be the end of the file.
void CheckData(const std::vector<NamedTensor>& tensors,
               absl::Span<const uint8_t> bytes) {
  std::string data;
  std::set<std::string> names;
  for (const NamedTensor& tensor : tensors) {
    TESSERA_CHECK(names.insert(tensor.name).second);
    TESSERA_CHECK(Elements(tensor) == std::ssize(tensor.values));
    data.append(reinterpret_cast<const char*>(tensor.values.data()),
                tensor.values.size() * sizeof(float));
  }
  TESSERA_CHECK(8 + data.size() <= bytes.size());
  TESSERA_CHECK(std::memcmp(bytes.last(data.size()).data(), data.data(),
                            data.size()) == 0);
}

void Check(absl::Span<const uint8_t> bytes) {
  static MemoryFile& file = *new MemoryFile;
  file.Write(bytes);
  const auto tensors = ReadSafetensors(file.path());
  if (tensors.ok()) {
    CheckData(*tensors, bytes);
  } else {
    TESSERA_CHECK(absl::IsInvalidArgument(tensors.status()));
  }
}

}  // namespace
}  // namespace tessera

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tessera::Check({data, size});
  return 0;
}
