#include "common/device/cuda/cuda_stream.h"

#include "absl/memory/memory.h"
#include "common/base/status_macros.h"

namespace tessera {

absl::StatusOr<std::unique_ptr<CudaEvent>> CudaEvent::Create(
    CudaErrors& errors) {
  TESSERA_RETURN_IF_ERROR(errors.CheckAlive());
  cudaEvent_t handle = nullptr;
  TESSERA_RETURN_IF_ERROR(errors.Check(
      cudaEventCreateWithFlags(&handle, cudaEventDisableTiming), "new event"));
  return absl::WrapUnique(new CudaEvent(errors, handle));
}

absl::Status CudaEvent::Synchronize() {
  TESSERA_RETURN_IF_ERROR(errors_.CheckAlive());
  return errors_.Check(cudaEventSynchronize(handle_), "wait for an event");
}

absl::StatusOr<std::unique_ptr<CudaStream>> CudaStream::Create(
    CudaErrors& errors) {
  TESSERA_RETURN_IF_ERROR(errors.CheckAlive());
  cudaStream_t handle = nullptr;
  // The default stream, which we never use, would order all others.
  TESSERA_RETURN_IF_ERROR(errors.Check(
      cudaStreamCreateWithFlags(&handle, cudaStreamNonBlocking), "new stream"));
  return absl::WrapUnique(new CudaStream(errors, handle));
}

CudaStream::~CudaStream() {
  // Nothing is left to do on a device that is lost.
  if (errors_.CheckAlive().ok()) cudaStreamSynchronize(handle_);
  cudaStreamDestroy(handle_);
}

absl::Status CudaStream::Copy(void* to, const void* from, size_t bytes) {
  if (bytes == 0) return errors_.CheckAlive();
  return Run("copy", [&](cudaStream_t stream) {
    // Addresses are unique over host and devices, so they say the direction.
    return cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream);
  });
}

absl::Status CudaStream::Zero(void* to, size_t bytes) {
  if (bytes == 0) return errors_.CheckAlive();
  return Run("fill with zero", [&](cudaStream_t stream) {
    return cudaMemsetAsync(to, 0, bytes, stream);
  });
}

absl::Status CudaStream::Record(Event& event) {
  return Run("record an event", [&](cudaStream_t stream) {
    return cudaEventRecord(static_cast<CudaEvent&>(event).handle(), stream);
  });
}

absl::Status CudaStream::WaitFor(Event& event) {
  return Run("wait for an event", [&](cudaStream_t stream) {
    return cudaStreamWaitEvent(stream, static_cast<CudaEvent&>(event).handle(),
                               0);
  });
}

absl::Status CudaStream::Synchronize() {
  return Run("wait for a stream",
             [](cudaStream_t stream) { return cudaStreamSynchronize(stream); });
}

}  // namespace tessera
