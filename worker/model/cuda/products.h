// Matrix products on a GPU, by cuBLAS. The only source that knows it.

#ifndef TESSERA_WORKER_MODEL_CUDA_PRODUCTS_H_
#define TESSERA_WORKER_MODEL_CUDA_PRODUCTS_H_

#include <cstddef>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/device/cuda/cuda_stream.h"
#include "common/device/device.h"

struct cublasContext;

namespace tessera {

// A row-major factor of a product.
struct Factor {
  const float* values = nullptr;
  bool transposed = false;  // As it is stored.
};

// C = A B with A of [rows, inner], B of [inner, columns], all row-major.
struct Product {
  Factor a;
  Factor b;
  float* c = nullptr;
  int rows = 0;
  int inner = 0;
  int columns = 0;
};

// The same product on the same kind of GPU, with the same cuBLAS, gives the
// same bits: there is one handle for the stream and a workspace of its own,
// which is what cuBLAS's documentation asks for under "Results
// reproducibility", and cuBLAS's atomic operations stay off, as they are by
// default. Not thread-safe.
class Products {
 public:
  // What cuBLAS recommends for Hopper; older GPUs are content with less.
  static constexpr size_t kWorkspaceBytes = 32 << 20;

  // Products enqueue on `stream`, which must outlive them, as must `device`.
  // `tf32` lets factors be rounded to TensorFloat-32. Codes: as
  // common/device/device.h.
  static absl::StatusOr<std::unique_ptr<Products>> Create(Device& device,
                                                          CudaStream& stream,
                                                          bool tf32);
  ~Products();
  Products(const Products&) = delete;
  Products& operator=(const Products&) = delete;

  // Enqueues it.
  absl::Status Multiply(const Product& product);

 private:
  Products(CudaStream& stream, Memory workspace)
      : stream_(stream), workspace_(std::move(workspace)) {}

  absl::Status Prepare(bool tf32);

  CudaStream& stream_;
  const Memory workspace_;
  cublasContext* handle_ = nullptr;
};

}  // namespace tessera

#endif  // TESSERA_WORKER_MODEL_CUDA_PRODUCTS_H_
