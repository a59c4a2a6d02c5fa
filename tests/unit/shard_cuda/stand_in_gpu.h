// The stand-in for a GPU, for tests that command it.

#ifndef TESSERA_TESTS_UNIT_SHARD_CUDA_STAND_IN_GPU_H_
#define TESSERA_TESTS_UNIT_SHARD_CUDA_STAND_IN_GPU_H_

#include <memory>

#include "tests/support/fake_cuda/fake_cuda.h"
#include "tests/unit/shard_cuda/gpu_under_test.h"

namespace tessera {

// A fresh one, with no orders to fail.
inline std::unique_ptr<Device> MakeStandInGpu() { return MakeGpuUnderTest(); }

}  // namespace tessera

#endif  // TESSERA_TESTS_UNIT_SHARD_CUDA_STAND_IN_GPU_H_
