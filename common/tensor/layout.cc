#include "common/tensor/layout.h"

#include <set>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace tessera {
namespace {

constexpr int64_t kMaxElements = int64_t{1} << 48;

absl::StatusOr<int64_t> SizeOf(const TensorSpec& tensor) {
  int64_t size = 1;
  for (int64_t dimension : tensor.shape) {
    if (dimension < 1) {
      return absl::InvalidArgumentError(
          absl::StrCat("tensor ", tensor.name, " has a dimension of ",
                       dimension, "; every dimension must be at least 1"));
    }
    if (size > kMaxElements / dimension) {
      return absl::InvalidArgumentError(
          absl::StrCat("tensor ", tensor.name, " has more than 2^48 elements"));
    }
    size *= dimension;
  }
  return size;
}

}  // namespace

absl::StatusOr<Layout> Layout::Create(std::vector<TensorSpec> tensors) {
  if (tensors.empty()) {
    return absl::InvalidArgumentError("the model has no parameters to train");
  }
  std::set<std::string> names;
  int64_t offset = 0;
  for (TensorSpec& tensor : tensors) {
    if (tensor.name.empty() || !names.insert(tensor.name).second) {
      return absl::InvalidArgumentError(absl::StrCat(
          "tensor name \"", tensor.name, "\" is empty or there twice"));
    }
    TESSERA_ASSIGN_OR_RETURN(tensor.size, SizeOf(tensor));
    tensor.offset = offset;
    offset += tensor.size;
    if (offset > kMaxElements) {
      return absl::InvalidArgumentError("the model has over 2^48 parameters");
    }
  }
  return Layout(std::move(tensors), offset);
}

}  // namespace tessera
