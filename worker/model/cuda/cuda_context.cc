#include "worker/model/cuda/cuda_context.h"

#include <algorithm>
#include <limits>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/status_macros.h"
#include "worker/model/cuda/pointwise_kernels.h"

namespace tessera {

absl::StatusOr<std::unique_ptr<CudaContext>> CudaContext::Create(Device& device,
                                                                 bool tf32) {
  TESSERA_CHECK(device.kind() == DeviceKind::kCuda);
  auto context = absl::WrapUnique(new CudaContext(device));
  TESSERA_RETURN_IF_ERROR(context->Prepare(tf32));
  return context;
}

absl::Status CudaContext::Prepare(bool tf32) {
  TESSERA_ASSIGN_OR_RETURN(upload_, device_.CreateStream());
  TESSERA_ASSIGN_OR_RETURN(download_, device_.CreateStream());
  TESSERA_ASSIGN_OR_RETURN(compute_stream_, device_.CreateStream());
  compute_ = &CudaStream::Of(*compute_stream_);
  TESSERA_ASSIGN_OR_RETURN(products_,
                           Products::Create(device_, *compute_, tf32));
  return absl::OkStatus();
}

void* CudaContext::AllocateBytes(MemoryKind kind, int64_t count, size_t size) {
  if (!status_.ok()) return nullptr;
  // Kernels count elements in 32 bits, cuBLAS in a signed int.
  if (count > std::numeric_limits<int32_t>::max()) {
    Note(absl::ResourceExhaustedError(absl::StrCat(
        "an array of ", count,
        " values is more than a GPU's layer can have; make microbatches "
        "smaller")));
    return nullptr;
  }
  absl::StatusOr<Memory> memory =
      device_.Allocate(kind, static_cast<size_t>(count) * size);
  if (!memory.ok()) {
    Note(memory.status());
    return nullptr;
  }
  memory_.push_back(*std::move(memory));
  return memory_.back().data();
}

void CudaContext::ReserveScratch(int64_t floats) {
  scratch_floats_ = std::max(scratch_floats_, floats);
}

void CudaContext::ReserveOnes(int64_t floats) {
  ones_floats_ = std::max(ones_floats_, floats);
}

void CudaContext::MakeShared() {
  scratch_ = Allocate(scratch_floats_);
  ones_ = Allocate(ones_floats_);
  Run("fill with ones", [&](cudaStream_t stream) {
    return LaunchFill(1, ones_floats_, ones_, stream);
  });
}

std::unique_ptr<Event> CudaContext::NewEvent() {
  if (!status_.ok()) return nullptr;
  absl::StatusOr<std::unique_ptr<Event>> event = device_.CreateEvent();
  if (event.ok()) return *std::move(event);
  Note(event.status());
  return nullptr;
}

void CudaContext::Copy(Stream& stream, void* to, const void* from,
                       int64_t bytes) {
  if (status_.ok()) Note(stream.Copy(to, from, static_cast<size_t>(bytes)));
}

void CudaContext::Order(Stream& first, Event& event, Stream& second) {
  if (status_.ok()) Note(first.Record(event));
  if (status_.ok()) Note(second.WaitFor(event));
}

void CudaContext::Finish() {
  for (Stream* stream :
       {upload_.get(), compute_stream_.get(), download_.get()}) {
    Note(stream->Synchronize());
  }
}

}  // namespace tessera
