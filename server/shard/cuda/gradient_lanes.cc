#include "server/shard/cuda/gradient_lanes.h"

#include <utility>

#include "absl/memory/memory.h"
#include "common/base/check.h"
#include "common/base/status_macros.h"
#include "common/device/cuda/cuda_stream.h"
#include "server/shard/cuda/staging.h"

namespace tessera {

// Not thread-safe.
class GradientLanes::Lane {
 public:
  static absl::StatusOr<std::unique_ptr<Lane>> Create(Device& device,
                                                      size_t payload_bytes) {
    TESSERA_ASSIGN_OR_RETURN(Staging staging,
                             Staging::Create(device, payload_bytes));
    TESSERA_ASSIGN_OR_RETURN(
        Memory flag, device.Allocate(MemoryKind::kHost, sizeof(uint32_t)));
    TESSERA_ASSIGN_OR_RETURN(std::unique_ptr<Stream> stream,
                             device.CreateStream());
    return absl::WrapUnique(
        new Lane(std::move(staging), std::move(flag), std::move(stream)));
  }

  absl::StatusOr<bool> Run(const GradientSum& sum, const char* what,
                           Launch launch, const Download& download) {
    uint32_t& not_finite = *static_cast<uint32_t*>(flag_.data());
    not_finite = 0;
    TESSERA_RETURN_IF_ERROR(staging_.Send(sum.payload, *stream_));
    const SumTerms terms = TermsOf(sum, &not_finite);
    TESSERA_RETURN_IF_ERROR(CudaStream::Of(*stream_).Run(
        what, [&](cudaStream_t stream) { return launch(terms, stream); }));
    TESSERA_RETURN_IF_ERROR(
        stream_->Copy(download.to, download.from, download.bytes));
    TESSERA_RETURN_IF_ERROR(stream_->Synchronize());
    return not_finite == 0;
  }

 private:
  Lane(Staging staging, Memory flag, std::unique_ptr<Stream> stream)
      : staging_(std::move(staging)),
        flag_(std::move(flag)),
        stream_(std::move(stream)) {}

  SumTerms TermsOf(const GradientSum& sum, uint32_t* not_finite) const {
    TESSERA_CHECK(sum.held.size() <= SumTerms::kMaxHeld);
    SumTerms terms;
    terms.payload = staging_.device_data();
    terms.is_bfloat16 = sum.encoding == v1::ENCODING_BFLOAT16;
    for (const float* held : sum.held) terms.held[terms.held_count++] = held;
    terms.elements = sum.elements();
    terms.not_finite = not_finite;
    return terms;
  }

  Staging staging_;
  // Pinned memory is the GPU's to write as well; a kernel that has nothing to
  // report sends nothing over the bus.
  const Memory flag_;
  // Last, so that it goes first: its end waits for all that uses the others.
  const std::unique_ptr<Stream> stream_;
};

GradientLanes::GradientLanes(Device& device, size_t payload_bytes)
    : device_(device), payload_bytes_(payload_bytes) {}

GradientLanes::~GradientLanes() = default;

absl::StatusOr<std::unique_ptr<GradientLanes>> GradientLanes::Create(
    Device& device, size_t payload_bytes) {
  TESSERA_CHECK(device.kind() == DeviceKind::kCuda);
  auto lanes = absl::WrapUnique(new GradientLanes(device, payload_bytes));
  TESSERA_ASSIGN_OR_RETURN(std::unique_ptr<Lane> first, lanes->Take());
  lanes->GiveBack(std::move(first));
  return lanes;
}

absl::StatusOr<std::unique_ptr<GradientLanes::Lane>> GradientLanes::Take() {
  {
    MutexLock lock(&mutex_);
    if (!idle_.empty()) {
      std::unique_ptr<Lane> lane = std::move(idle_.back());
      idle_.pop_back();
      return lane;
    }
  }
  return Lane::Create(device_, payload_bytes_);
}

void GradientLanes::GiveBack(std::unique_ptr<Lane> lane) {
  MutexLock lock(&mutex_);
  idle_.push_back(std::move(lane));
}

absl::StatusOr<bool> GradientLanes::Run(const GradientSum& sum,
                                        const char* what, Launch launch,
                                        const Download& download) {
  TESSERA_ASSIGN_OR_RETURN(std::unique_ptr<Lane> lane, Take());
  // A lane on which something failed ends here, which waits for the rest.
  TESSERA_ASSIGN_OR_RETURN(const bool is_finite,
                           lane->Run(sum, what, launch, download));
  GiveBack(std::move(lane));
  return is_finite;
}

}  // namespace tessera
