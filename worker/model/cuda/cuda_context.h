// What the layers of one stack share on a GPU: memory, streams, cuBLAS, and the
// first thing that went wrong.
//
//   upload    parameters -->|
//   compute                 kernels and products, layer by layer -->|
//   download                                     gradients to pinned memory
//
// Work is only ordered here, so errors come late, and layers' calls return
// none: once one call has failed, all later ones do nothing until the end of
// the pass, which says what it was.

#ifndef TESSERA_WORKER_MODEL_CUDA_CUDA_CONTEXT_H_
#define TESSERA_WORKER_MODEL_CUDA_CUDA_CONTEXT_H_

#include <cuda_runtime_api.h>

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/device/cuda/cuda_stream.h"
#include "common/device/device.h"
#include "worker/model/cuda/products.h"

namespace tessera {

// Not thread-safe.
class CudaContext {
 public:
  // `device`, of CUDA, must outlive it. Codes: as common/device/device.h.
  static absl::StatusOr<std::unique_ptr<CudaContext>> Create(Device& device,
                                                             bool tf32);

  // The first error since the last TakeStatus.
  const absl::Status& status() const { return status_; }
  absl::Status TakeStatus() { return std::exchange(status_, {}); }

  // Remembers an error.
  void Note(const absl::Status& status) { status_.Update(status); }

  // Memory that lives as long as the context; null or empty after an error.
  // The first two are the GPU's, the third is pinned.
  float* Allocate(int64_t floats) { return Allocate<float>(floats); }
  template <typename T>
  T* Allocate(int64_t count) {
    return static_cast<T*>(
        AllocateBytes(MemoryKind::kDevice, count, sizeof(T)));
  }
  template <typename T>
  absl::Span<T> AllocateHost(int64_t count) {
    void* const data = AllocateBytes(MemoryKind::kHost, count, sizeof(T));
    return {static_cast<T*>(data),
            data == nullptr ? 0 : static_cast<size_t>(count)};
  }

  // Whether the host's memory at this address can be copied to at any time.
  bool IsPinned(const void* data) const { return device_.IsPinned(data); }

  // Room that layers use one after the other, on `compute`; and ones. Reserve
  // while layers are made, then MakeShared, then use.
  void ReserveScratch(int64_t floats);
  void ReserveOnes(int64_t floats);
  void MakeShared();
  float* scratch() const { return scratch_; }
  const float* ones() const { return ones_; }

  std::unique_ptr<Event> NewEvent();

  // Enqueues a copy into or out of the GPU's memory.
  void Copy(Stream& stream, void* to, const void* from, int64_t bytes);

  // `second` goes on once all that is now on `first` is done.
  void Order(Stream& first, Event& event, Stream& second);

  // Enqueues a kernel on `compute`: launch(cudaStream_t) gives a cudaError_t.
  template <typename Launch>
  void Run(absl::string_view what, Launch launch) {
    if (status_.ok()) Note(compute_->Run(what, launch));
  }
  // Likewise, a product.
  void Multiply(const Product& product) {
    if (status_.ok()) Note(products_->Multiply(product));
  }

  Stream& upload() { return *upload_; }
  Stream& compute() { return *compute_; }
  Stream& download() { return *download_; }

  // Waits for everything, whatever went wrong.
  void Finish();

 private:
  explicit CudaContext(Device& device) : device_(device) {}

  absl::Status Prepare(bool tf32);
  void* AllocateBytes(MemoryKind kind, int64_t count, size_t size);

  Device& device_;
  absl::Status status_;
  std::vector<Memory> memory_;
  int64_t scratch_floats_ = 0;
  int64_t ones_floats_ = 0;
  float* scratch_ = nullptr;
  float* ones_ = nullptr;
  // After the memory, so that they go first: their ends wait for their work.
  std::unique_ptr<Stream> upload_;
  std::unique_ptr<Stream> download_;
  std::unique_ptr<Stream> compute_stream_;
  CudaStream* compute_ = nullptr;  // The same.
  std::unique_ptr<Products> products_;
};

}  // namespace tessera

#endif  // TESSERA_WORKER_MODEL_CUDA_CUDA_CONTEXT_H_
