// Where a shard's pushes meet the GPU: each takes a lane of its own.
//
//            lane (stream)
//   payload --> staging --> kernel --> new values --> pinned memory of answers
//                             ^
//                        held sums, parameters, optimizer state
//
// A push waits for its own lane's end, because it has to tell whether the sum
// was finite; meanwhile pushes of other blocks, on other threads, use other
// lanes. So uploads, kernels and downloads of different blocks overlap, and
// nothing that a push touches is in use on the GPU once it has returned:
// buffers go from lane to lane without further ado.

#ifndef TESSERA_SERVER_SHARD_CUDA_GRADIENT_LANES_H_
#define TESSERA_SERVER_SHARD_CUDA_GRADIENT_LANES_H_

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "common/base/mutex.h"
#include "common/device/device.h"
#include "server/shard/block_math.h"
#include "server/shard/cuda/sum_terms.h"

namespace tessera {

// A copy out of device memory; none without bytes.
struct Download {
  void* to = nullptr;
  const void* from = nullptr;
  size_t bytes = 0;
};

// Thread-safe. As many lanes as there were pushes at once, kept for more.
class GradientLanes {
 public:
  // Enqueues a kernel over the sum's elements. It must name no element past
  // them.
  using Launch = absl::FunctionRef<cudaError_t(const SumTerms&, cudaStream_t)>;

  // For payloads of up to `payload_bytes`. A first lane is made at once. The
  // device, of CUDA, must outlive it. Codes: as common/device/device.h.
  static absl::StatusOr<std::unique_ptr<GradientLanes>> Create(
      Device& device, size_t payload_bytes);
  ~GradientLanes();

  // Sends the sum's payload, launches the kernel named `what`, then downloads.
  // Returns when all is done, with whether the sum is finite. Codes: as
  // common/device/device.h; nothing is in use on the GPU then, either.
  absl::StatusOr<bool> Run(const GradientSum& sum, const char* what,
                           Launch launch, const Download& download);

 private:
  class Lane;

  GradientLanes(Device& device, size_t payload_bytes);

  absl::StatusOr<std::unique_ptr<Lane>> Take();
  void GiveBack(std::unique_ptr<Lane> lane);

  Device& device_;
  const size_t payload_bytes_;

  Mutex mutex_;
  std::vector<std::unique_ptr<Lane>> idle_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tessera

#endif  // TESSERA_SERVER_SHARD_CUDA_GRADIENT_LANES_H_
