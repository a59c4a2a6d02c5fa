#include "worker/model/cuda/products.h"

#include <cublas_v2.h>

#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/base/status_macros.h"

namespace tessera {
namespace {

// What cuBLAS gives says little; where CUDA has an error, that is the cause.
absl::Status StatusOf(cublasStatus_t status, absl::string_view what,
                      CudaStream& stream) {
  if (status == CUBLAS_STATUS_SUCCESS) return absl::OkStatus();
  TESSERA_RETURN_IF_ERROR(stream.errors().Check(cudaGetLastError(), what));
  const std::string message =
      absl::StrCat("cuBLAS: ", what, ": ", cublasGetStatusName(status), " (",
                   static_cast<int>(status), ")");
  return status == CUBLAS_STATUS_ALLOC_FAILED
             ? absl::ResourceExhaustedError(message)
             : absl::InternalError(message);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Products>> Products::Create(Device& device,
                                                           CudaStream& stream,
                                                           bool tf32) {
  TESSERA_ASSIGN_OR_RETURN(
      Memory workspace, device.Allocate(MemoryKind::kDevice, kWorkspaceBytes));
  auto products = absl::WrapUnique(new Products(stream, std::move(workspace)));
  TESSERA_RETURN_IF_ERROR(products->Prepare(tf32));
  return products;
}

Products::~Products() {
  if (handle_ != nullptr) cublasDestroy(handle_);
}

absl::Status Products::Prepare(bool tf32) {
  TESSERA_RETURN_IF_ERROR(
      StatusOf(cublasCreate(&handle_), "a new handle", stream_));
  TESSERA_RETURN_IF_ERROR(StatusOf(cublasSetStream(handle_, stream_.handle()),
                                   "choice of a stream", stream_));
  // In this order: a new stream takes the workspace back.
  TESSERA_RETURN_IF_ERROR(StatusOf(
      cublasSetWorkspace(handle_, workspace_.data(), workspace_.bytes()),
      "choice of a workspace", stream_));
  return StatusOf(cublasSetMathMode(handle_, tf32 ? CUBLAS_TF32_TENSOR_OP_MATH
                                                  : CUBLAS_DEFAULT_MATH),
                  "choice of precision", stream_);
}

absl::Status Products::Multiply(const Product& p) {
  TESSERA_RETURN_IF_ERROR(stream_.errors().CheckAlive());
  constexpr float kOne = 1;
  constexpr float kZero = 0;
  const auto operation = [](const Factor& factor) {
    return factor.transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
  };
  // cuBLAS's matrices are column-major, so it sees ours transposed, and works
  // out C' = B' A'.
  return StatusOf(
      cublasSgemm(handle_, operation(p.b), operation(p.a), p.columns, p.rows,
                  p.inner, &kOne, p.b.values,
                  p.b.transposed ? p.inner : p.columns, p.a.values,
                  p.a.transposed ? p.rows : p.inner, &kZero, p.c, p.columns),
      "a matrix product", stream_);
}

}  // namespace tessera
