// Streams and events of a GPU, with what kernels need of them.

#ifndef TESSERA_COMMON_DEVICE_CUDA_CUDA_STREAM_H_
#define TESSERA_COMMON_DEVICE_CUDA_CUDA_STREAM_H_

#include <cuda_runtime_api.h>

#include <memory>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/device/cuda/cuda_errors.h"
#include "common/device/device.h"

namespace tessera {

class CudaEvent final : public Event {
 public:
  // `errors`, its device's, must outlive it.
  static absl::StatusOr<std::unique_ptr<CudaEvent>> Create(CudaErrors& errors);
  ~CudaEvent() override { cudaEventDestroy(handle_); }

  absl::Status Synchronize() override;

  cudaEvent_t handle() const { return handle_; }

 private:
  CudaEvent(CudaErrors& errors, cudaEvent_t handle)
      : errors_(errors), handle_(handle) {}

  CudaErrors& errors_;
  const cudaEvent_t handle_;
};

class CudaStream final : public Stream {
 public:
  // `errors`, its device's, must outlive it.
  static absl::StatusOr<std::unique_ptr<CudaStream>> Create(CudaErrors& errors);
  ~CudaStream() override;

  // What streams of a CUDA device are.
  static CudaStream& Of(Stream& stream) {
    return static_cast<CudaStream&>(stream);
  }

  absl::Status Copy(void* to, const void* from, size_t bytes) override;
  absl::Status Zero(void* to, size_t bytes) override;
  absl::Status Record(Event& event) override;
  absl::Status WaitFor(Event& event) override;
  absl::Status Synchronize() override;

  // For kernels: calls launch(cudaStream_t), which gives a cudaError_t, unless
  // the device is lost. `what` names the kernel.
  template <typename Launch>
  absl::Status Run(absl::string_view what, Launch launch) {
    absl::Status status = errors_.CheckAlive();
    return status.ok() ? errors_.Check(launch(handle_), what) : status;
  }

  // For libraries that enqueue work here and have errors of their own.
  cudaStream_t handle() const { return handle_; }
  CudaErrors& errors() const { return errors_; }

 private:
  CudaStream(CudaErrors& errors, cudaStream_t handle)
      : errors_(errors), handle_(handle) {}

  CudaErrors& errors_;
  const cudaStream_t handle_;
};

}  // namespace tessera

#endif  // TESSERA_COMMON_DEVICE_CUDA_CUDA_STREAM_H_
