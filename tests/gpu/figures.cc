// Two of the figures that tests/gpu/check prints: how close a server's kernels
// and its way onto the GPU come to plain copies. Medians over repetitions.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/base/status_macros.h"
#include "common/device/cuda/cuda_device.h"
#include "common/device/cuda/cuda_stream.h"
#include "server/shard/cuda/sgd_kernel.h"
#include "server/shard/cuda/staging.h"

namespace tessera {
namespace {

constexpr size_t kBytes = size_t{256} << 20;
constexpr int kRepetitions = 20;

// Seconds that `work` takes from its call until the stream is done.
absl::StatusOr<double> MedianSeconds(Stream& stream,
                                     absl::FunctionRef<absl::Status()> work) {
  std::vector<double> seconds;
  for (int i = 0; i < kRepetitions + 1; ++i) {
    const absl::Time start = absl::Now();
    TESSERA_RETURN_IF_ERROR(work());
    TESSERA_RETURN_IF_ERROR(stream.Synchronize());
    // The first one warms up.
    if (i > 0) seconds.push_back(absl::ToDoubleSeconds(absl::Now() - start));
  }
  std::sort(seconds.begin(), seconds.end());
  return seconds[seconds.size() / 2];
}

double GigabytesPerSecond(double bytes, double seconds) {
  return bytes / seconds / 1e9;
}

void Print(const char* what, double figure, const char* against, double bound) {
  std::printf("%s %.1f GB/s, %s %.1f GB/s: %.2f (target 0.85)\n", what, figure,
              against, bound, figure / bound);
}

// The last addition of a sum and SGD, in one kernel, reads three arrays and
// writes one; a copy reads one and writes one.
absl::Status MeasureSgd(Device& device, Stream& stream) {
  std::vector<Memory> arrays;
  for (int i = 0; i < 4; ++i) {
    TESSERA_ASSIGN_OR_RETURN(Memory memory,
                             device.Allocate(MemoryKind::kDevice, kBytes));
    TESSERA_RETURN_IF_ERROR(stream.Zero(memory.data(), kBytes));
    arrays.push_back(std::move(memory));
  }
  TESSERA_ASSIGN_OR_RETURN(
      const Memory flag, device.Allocate(MemoryKind::kHost, sizeof(uint32_t)));
  SumTerms terms;
  terms.payload = arrays[0].data();
  terms.held[0] = static_cast<const float*>(arrays[1].data());
  terms.held_count = 1;
  terms.elements = kBytes / sizeof(float);
  terms.not_finite = static_cast<uint32_t*>(flag.data());
  TESSERA_ASSIGN_OR_RETURN(
      const double update, MedianSeconds(stream, [&] {
        return CudaStream::Of(stream).Run("SGD", [&](cudaStream_t handle) {
          return LaunchSgd(SgdRule{}, terms,
                           static_cast<const float*>(arrays[2].data()),
                           static_cast<float*>(arrays[3].data()), handle);
        });
      }));
  TESSERA_ASSIGN_OR_RETURN(const double copy, MedianSeconds(stream, [&] {
                             return stream.Copy(arrays[1].data(),
                                                arrays[0].data(), kBytes);
                           }));
  Print("add + SGD, 256 MiB:", GigabytesPerSecond(4.0 * kBytes, update),
        "device-to-device copy", GigabytesPerSecond(2.0 * kBytes, copy));
  return absl::OkStatus();
}

// A payload in ordinary memory against one in pinned memory, which a received
// one never is.
absl::Status MeasureStaging(Device& device, Stream& stream) {
  const std::vector<uint8_t> payload(kBytes, 1);
  TESSERA_ASSIGN_OR_RETURN(Staging staging, Staging::Create(device, kBytes));
  TESSERA_ASSIGN_OR_RETURN(const Memory pinned,
                           device.Allocate(MemoryKind::kHost, kBytes));
  TESSERA_ASSIGN_OR_RETURN(const Memory there,
                           device.Allocate(MemoryKind::kDevice, kBytes));
  TESSERA_ASSIGN_OR_RETURN(const double staged, MedianSeconds(stream, [&] {
                             return staging.Send(FragmentedBytes(payload),
                                                 stream);
                           }));
  TESSERA_ASSIGN_OR_RETURN(const double copy, MedianSeconds(stream, [&] {
                             return stream.Copy(there.data(), pinned.data(),
                                                kBytes);
                           }));
  Print("staging, 256 MiB, one thread:", GigabytesPerSecond(kBytes, staged),
        "pinned cudaMemcpyAsync", GigabytesPerSecond(kBytes, copy));
  return absl::OkStatus();
}

absl::Status Run() {
  TESSERA_ASSIGN_OR_RETURN(const std::unique_ptr<Device> device,
                           MakeCudaDevice());
  TESSERA_ASSIGN_OR_RETURN(const std::unique_ptr<Stream> stream,
                           device->CreateStream());
  std::printf("on %s\n", device->name().c_str());
  TESSERA_RETURN_IF_ERROR(MeasureSgd(*device, *stream));
  return MeasureStaging(*device, *stream);
}

}  // namespace
}  // namespace tessera

int main() {
  const absl::Status status = tessera::Run();
  if (status.ok()) return 0;
  std::fprintf(stderr, "figures: %s\n", status.ToString().c_str());
  return 1;
}
