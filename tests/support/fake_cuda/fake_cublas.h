// What the stand-in for cuBLAS does, and how tests command it.
//
// A product is work on the handle's stream, done by plain loops, as lazily as
// all work of the stand-in for the runtime. A product on a handle without a
// workspace of the caller's since its stream was set breaks the test: results
// could differ from run to run. All calls are thread-safe.

#ifndef TESSERA_TESTS_SUPPORT_FAKE_CUDA_FAKE_CUBLAS_H_
#define TESSERA_TESTS_SUPPORT_FAKE_CUDA_FAKE_CUBLAS_H_

#include <cublas_v2.h>

namespace tessera::fake_cublas {

// No orders to fail. What is live stays.
void Reset();

// The `nth` call that gives a status from now on, 1 for the next, fails with
// `status` and does nothing. cublasDestroy does not count.
void FailCall(int nth, cublasStatus_t status);

// Of the last handle that it was set for.
cublasMath_t MathMode();

// Handles made and not gone yet.
int LiveHandles();

}  // namespace tessera::fake_cublas

#endif  // TESSERA_TESTS_SUPPORT_FAKE_CUDA_FAKE_CUBLAS_H_
