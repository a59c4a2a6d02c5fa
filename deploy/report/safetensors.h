// Parameters in the safetensors format, which every framework reads.
//
//   | header length, 8 bytes | JSON header | data |      all little endian
//
// The header maps a tensor's name to {"dtype": "F32", "shape": [...],
// "data_offsets": [begin, end]}, offsets counted from the start of the data.
// Format: https://github.com/huggingface/safetensors#format.

#ifndef TESSERA_DEPLOY_REPORT_SAFETENSORS_H_
#define TESSERA_DEPLOY_REPORT_SAFETENSORS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/tensor/layout.h"

namespace tessera {

// Writes the flat vector (layout.total_elements() floats) under the tensors'
// names; the file appears whole or not at all. Codes: as WriteFileAtomically.
absl::Status WriteSafetensors(const std::string& path, const Layout& layout,
                              absl::Span<const float> values);

// A tensor read back.
struct NamedTensor {
  std::string name;
  std::vector<int64_t> shape;
  std::vector<float> values;
};

// Reads a file of F32 tensors, in the order of their data. Codes:
// INVALID_ARGUMENT for anything that is not exactly the format (lengths,
// names that are there twice, offsets that overlap, leave gaps or disagree with
// the shape, other dtypes),
// naming the file and what is wrong.
absl::StatusOr<std::vector<NamedTensor>> ReadSafetensors(
    const std::string& path);

}  // namespace tessera

#endif  // TESSERA_DEPLOY_REPORT_SAFETENSORS_H_
