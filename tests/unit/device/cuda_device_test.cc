// The CUDA device's errors and choices, over the stand-in for its runtime. What
// it does when all goes well is the contract's.

#include "common/device/cuda/cuda_device.h"

#include <cstdlib>
#include <map>
#include <memory>
#include <utility>

#include "common/device/buffer_pool.h"
#include "common/device/host_memory_source.h"
#include "common/device/make_device.h"
#include "tests/support/fake_cuda/fake_cuda.h"
#include "tests/support/status.h"

namespace tessera {
namespace {

using fake_cuda::Call;

std::unique_ptr<Device> Make() {
  fake_cuda::Reset();
  auto device = MakeCudaDevice();
  REQUIRE_OK(device);
  return *std::move(device);
}

std::unique_ptr<Stream> CreateStream(Device& device) {
  auto stream = device.CreateStream();
  REQUIRE_OK(stream);
  return *std::move(stream);
}

TEST_CASE("auto takes the GPU that is there, and says which") {
  fake_cuda::Reset();
  const std::string name = GENERATE("auto", "cuda");
  const auto device = MakeDevice(name);
  REQUIRE_OK(device);
  REQUIRE((*device)->kind() == DeviceKind::kCuda);
  REQUIRE((*device)->name() == "Stand-in GPU");
}

TEST_CASE("without a driver or a GPU auto is the CPU, and cuda says why") {
  fake_cuda::Reset();
  const auto [error, count, words] =
      GENERATE(table<cudaError_t, int, std::string>(
          {{cudaErrorInsufficientDriver, 7, "no NVIDIA driver"},
           {cudaErrorNoDevice, 7, "CUDA_VISIBLE_DEVICES"},
           {cudaSuccess, 0, "CUDA_VISIBLE_DEVICES"}}));
  fake_cuda::SetDeviceCount(error, count);
  REQUIRE((*MakeDevice("auto"))->name() == "cpu");
  REQUIRE_ERROR(MakeDevice("cuda"), absl::StatusCode::kFailedPrecondition,
                "device cuda", words, "use cpu or auto");
  REQUIRE_OK(MakeDevice("cpu"));
}

TEST_CASE("auto does not hide a GPU that does not work") {
  fake_cuda::Reset();
  fake_cuda::SetDeviceCount(cudaErrorUnknown, 0);
  REQUIRE_ERROR(MakeDevice("auto"), absl::StatusCode::kInternal,
                "cannot count the GPUs", "999");
}

TEST_CASE("too much device memory says what was asked for and what is free") {
  const auto device = Make();
  fake_cuda::SetDeviceMemory(1000);
  const auto first = device->Allocate(MemoryKind::kDevice, 600);
  REQUIRE_OK(first);
  REQUIRE_ERROR(device->Allocate(MemoryKind::kDevice, 401),
                absl::StatusCode::kResourceExhausted,
                "device memory of 401 bytes", "400 of the device's 1000 bytes");
  REQUIRE_OK(device->Allocate(MemoryKind::kDevice, 400));
  REQUIRE(cudaGetLastError() == cudaSuccess);
}

TEST_CASE("every other error is INTERNAL in CUDA's words, and passes") {
  const auto device = Make();
  const Memory memory = *device->Allocate(MemoryKind::kDevice, 100);
  const auto stream = CreateStream(*device);
  fake_cuda::FailCall(Call::kCopy, 2, cudaErrorInvalidValue);
  REQUIRE_OK(stream->Zero(memory.data(), 100));
  REQUIRE_ERROR(stream->Zero(memory.data(), 100), absl::StatusCode::kInternal,
                "fill with zero", "(1)", "words of the stand-in");
  REQUIRE_OK(stream->Zero(memory.data(), 100));
  REQUIRE(cudaGetLastError() == cudaSuccess);
}

// Uses everything that can fail; the first error.
absl::Status UseAll(Device& device) {
  const auto memory = device.Allocate(MemoryKind::kDevice, 64);
  if (!memory.ok()) return memory.status();
  const auto pinned = device.Allocate(MemoryKind::kHost, 64);
  if (!pinned.ok()) return pinned.status();
  const auto stream = device.CreateStream();
  if (!stream.ok()) return stream.status();
  const auto event = device.CreateEvent();
  if (!event.ok()) return event.status();
  Stream& s = **stream;
  for (const absl::Status& status :
       {s.Zero(memory->data(), 64), s.Copy(pinned->data(), memory->data(), 64),
        s.Record(**event), s.WaitFor(**event), (*event)->Synchronize(),
        s.Synchronize()}) {
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

TEST_CASE("any call that fails is reported, and leaks nothing") {
  const auto device = Make();
  REQUIRE_OK(UseAll(*device));
  const auto call = GENERATE(Call::kAllocate, Call::kAllocateHost, Call::kCopy,
                             Call::kCreate, Call::kWait);
  // The last wait is the stream's own, at its end, which tells nobody.
  const int calls = fake_cuda::CallCount(call) - (call == Call::kWait ? 1 : 0);
  for (int nth = 1; nth <= calls; ++nth) {
    CAPTURE(static_cast<int>(call), nth);
    fake_cuda::FailCall(call, nth, cudaErrorUnknown);
    REQUIRE_ERROR(UseAll(*device), absl::StatusCode::kInternal, "999");
    REQUIRE(fake_cuda::LiveObjects() == fake_cuda::Live{});
    fake_cuda::Reset();
    REQUIRE_OK(UseAll(*device));
    fake_cuda::Reset();
    REQUIRE_OK(UseAll(*device));
  }
}

TEST_CASE("a device that is lost stays lost, whenever that happens") {
  for (int calls = 0;; ++calls) {
    CAPTURE(calls);
    const auto device = Make();
    fake_cuda::LoseAfter(calls);
    const absl::Status status = UseAll(*device);
    if (status.ok()) {
      REQUIRE(calls == fake_cuda::CallCount() - 1);
      break;
    }
    const auto unavailable = absl::StatusCode::kUnavailable;
    REQUIRE_ERROR(status, unavailable, "lost", "cudaErrorIllegalAddress (700)");
    // Even should CUDA forget.
    fake_cuda::Reset();
    const int before = fake_cuda::CallCount();
    REQUIRE_ERROR(device->Allocate(MemoryKind::kDevice, 0), unavailable);
    REQUIRE_ERROR(device->Allocate(MemoryKind::kHost, 9), unavailable);
    REQUIRE_ERROR(device->CreateStream(), unavailable);
    REQUIRE_ERROR(device->CreateEvent(), unavailable);
    REQUIRE_ERROR(device->Pin(nullptr, 0), unavailable);
    REQUIRE(fake_cuda::CallCount() == before);
    REQUIRE(fake_cuda::LiveObjects() == fake_cuda::Live{});
  }
}

// Pages of its own.
class PageSource final : public HostMemorySource {
 public:
  ~PageSource() override { REQUIRE(lent_ == 0); }

  absl::StatusOr<void*> Allocate(size_t bytes) override {
    ++lent_;
    return std::aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
  }
  void Free(void* data, size_t) override {
    --lent_;
    std::free(data);
  }

  int lent() const { return lent_; }

 private:
  int lent_ = 0;
};

TEST_CASE("a pool pins what comes from elsewhere") {
  const auto device = Make();
  const auto source = std::make_shared<PageSource>();
  {
    BufferPool pool(*device, MemoryKind::kHost, source);
    const auto a = pool.Get(100000);
    REQUIRE_OK(a);
    REQUIRE(source->lent() == 1);
    REQUIRE(fake_cuda::LiveObjects() == fake_cuda::Live{.pins = 1});
    // Where that fails, the device's own memory is as good.
    fake_cuda::FailCall(Call::kPin, 1, cudaErrorUnknown);
    const auto b = pool.Get(100000);
    REQUIRE_OK(b);
    REQUIRE(source->lent() == 1);
    REQUIRE(fake_cuda::LiveObjects() ==
            fake_cuda::Live{.host_memory = 1, .pins = 1});
  }
  REQUIRE(fake_cuda::LiveObjects() == fake_cuda::Live{});
}

TEST_CASE("ordinary memory is not pinned, unless it was") {
  fake_cuda::Reset();
  auto device = MakeCudaDevice();
  REQUIRE_OK(device);
  constexpr size_t kPage = 4096;
  void* const memory = std::aligned_alloc(kPage, kPage);
  REQUIRE_FALSE((*device)->IsPinned(memory));
  {
    const auto pin = (*device)->Pin(memory, kPage);
    REQUIRE_OK(pin);
    REQUIRE((*device)->IsPinned(memory));
  }
  REQUIRE_FALSE((*device)->IsPinned(memory));
  std::free(memory);
}

}  // namespace
}  // namespace tessera
