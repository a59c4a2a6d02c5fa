// Where each tensor of a model lies in the job's one flat float32 vector.

#ifndef TESSERA_COMMON_TENSOR_LAYOUT_H_
#define TESSERA_COMMON_TENSOR_LAYOUT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace tessera {

// How a tensor's initial values are drawn (server/shard/initializer.h draws).
enum class Initializer {
  kZero,
  // Uniform in [-scale, scale).
  kUniform,
};

struct TensorSpec {
  std::string name;
  std::vector<int64_t> shape;
  Initializer initializer = Initializer::kZero;
  float scale = 0;

  // Set by Layout::Create: the tensor is [offset, offset + size) of the flat
  // vector, in row-major order. In elements.
  int64_t offset = 0;
  int64_t size = 0;
};

// Tensors end to end, in the order given. Immutable, so thread-safe.
class Layout {
 public:
  // Sets offsets and sizes. Codes: INVALID_ARGUMENT for no tensor at all, a
  // name that is empty or there twice, a dimension below 1, or more than 2^48
  // elements.
  static absl::StatusOr<Layout> Create(std::vector<TensorSpec> tensors);

  const std::vector<TensorSpec>& tensors() const { return tensors_; }
  int64_t total_elements() const { return total_elements_; }

 private:
  explicit Layout(std::vector<TensorSpec> tensors, int64_t total_elements)
      : tensors_(std::move(tensors)), total_elements_(total_elements) {}

  std::vector<TensorSpec> tensors_;
  int64_t total_elements_;
};

}  // namespace tessera

#endif  // TESSERA_COMMON_TENSOR_LAYOUT_H_
