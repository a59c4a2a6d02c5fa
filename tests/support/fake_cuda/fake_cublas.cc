#include "tests/support/fake_cuda/fake_cublas.h"

#include <cstdint>

#include "common/base/check.h"
#include "common/base/mutex.h"
#include "tests/support/fake_cuda/fake_cuda.h"

struct cublasContext {
  cudaStream_t stream = nullptr;
  bool has_workspace = false;
};

namespace tessera::fake_cublas {
namespace {

struct State {
  Mutex mutex;
  int calls_left = 0;  // None, at 0.
  cublasStatus_t error = CUBLAS_STATUS_SUCCESS;
  cublasMath_t math_mode = CUBLAS_DEFAULT_MATH;
  int handles = 0;
};

State& TheState() {
  static State* const state = new State;
  return *state;
}

// Counts a call and gives the error that it was told to have, if any.
cublasStatus_t Begin() {
  State& state = TheState();
  MutexLock lock(&state.mutex);
  const bool fails = state.calls_left > 0 && --state.calls_left == 0;
  return fails ? state.error : CUBLAS_STATUS_SUCCESS;
}

// A column-major matrix as an operand.
struct Operand {
  const float* values;
  size_t leading;
  bool transposed;

  float At(size_t row, size_t column) const {
    return transposed ? values[row * leading + column]
                      : values[column * leading + row];
  }
};

}  // namespace

void Reset() { FailCall(0, CUBLAS_STATUS_SUCCESS); }

void FailCall(int nth, cublasStatus_t status) {
  State& state = TheState();
  MutexLock lock(&state.mutex);
  state.calls_left = nth;
  state.error = status;
}

cublasMath_t MathMode() {
  State& state = TheState();
  MutexLock lock(&state.mutex);
  return state.math_mode;
}

int LiveHandles() {
  State& state = TheState();
  MutexLock lock(&state.mutex);
  return state.handles;
}

}  // namespace tessera::fake_cublas

using tessera::MutexLock;
using tessera::fake_cublas::Begin;
using tessera::fake_cublas::Operand;
using tessera::fake_cublas::TheState;

const char* cublasGetStatusName(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_SUCCESS:
      return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_ALLOC_FAILED:
      return "CUBLAS_STATUS_ALLOC_FAILED";
    case CUBLAS_STATUS_EXECUTION_FAILED:
      return "CUBLAS_STATUS_EXECUTION_FAILED";
    default:
      return "CUBLAS_STATUS_OTHER";
  }
}

cublasStatus_t cublasCreate(cublasHandle_t* handle) {
  const cublasStatus_t status = Begin();
  if (status != CUBLAS_STATUS_SUCCESS) return status;
  *handle = new cublasContext;
  MutexLock lock(&TheState().mutex);
  ++TheState().handles;
  return status;
}

cublasStatus_t cublasDestroy(cublasHandle_t handle) {
  delete handle;
  MutexLock lock(&TheState().mutex);
  --TheState().handles;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetStream(cublasHandle_t handle, cudaStream_t stream) {
  const cublasStatus_t status = Begin();
  if (status != CUBLAS_STATUS_SUCCESS) return status;
  handle->stream = stream;
  // As in cuBLAS: back to a pool that streams share.
  handle->has_workspace = false;
  return status;
}

cublasStatus_t cublasSetWorkspace(cublasHandle_t handle, void* workspace,
                                  size_t bytes) {
  const cublasStatus_t status = Begin();
  if (status != CUBLAS_STATUS_SUCCESS) return status;
  if (reinterpret_cast<uintptr_t>(workspace) % 256 != 0) {
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  handle->has_workspace = bytes > 0;
  return status;
}

cublasStatus_t cublasSetMathMode(cublasHandle_t, cublasMath_t mode) {
  const cublasStatus_t status = Begin();
  if (status != CUBLAS_STATUS_SUCCESS) return status;
  MutexLock lock(&TheState().mutex);
  TheState().math_mode = mode;
  return status;
}

cublasStatus_t cublasSgemm(cublasHandle_t handle, cublasOperation_t op_a,
                           cublasOperation_t op_b, int m, int n, int k,
                           const float* alpha, const float* a, int lda,
                           const float* b, int ldb, const float* beta, float* c,
                           int ldc) {
  const cublasStatus_t status = Begin();
  if (status != CUBLAS_STATUS_SUCCESS) return status;
  TESSERA_CHECK(handle->has_workspace);
  const bool transposed_a = op_a == CUBLAS_OP_T;
  const bool transposed_b = op_b == CUBLAS_OP_T;
  if (m < 0 || n < 0 || k < 0 || lda < (transposed_a ? k : m) ||
      ldb < (transposed_b ? n : k) || ldc < m) {
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  // Anything else is not ours.
  TESSERA_CHECK(*alpha == 1 && *beta == 0);
  const Operand left{a, static_cast<size_t>(lda), transposed_a};
  const Operand right{b, static_cast<size_t>(ldb), transposed_b};
  const auto rows = static_cast<size_t>(m);
  const auto columns = static_cast<size_t>(n);
  const auto inner = static_cast<size_t>(k);
  const auto leading = static_cast<size_t>(ldc);
  const cudaError_t error =
      tessera::fake_cuda::EnqueueKernel(handle->stream, [=] {
        for (size_t column = 0; column < columns; ++column) {
          for (size_t row = 0; row < rows; ++row) {
            float sum = 0;
            for (size_t i = 0; i < inner; ++i) {
              sum += left.At(row, i) * right.At(i, column);
            }
            c[column * leading + row] = sum;
          }
        }
      });
  return error == cudaSuccess ? status : CUBLAS_STATUS_EXECUTION_FAILED;
}
