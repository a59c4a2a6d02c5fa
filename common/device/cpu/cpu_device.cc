#include "common/device/cpu/cpu_device.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "common/device/cpu/huge_page_memory.h"

namespace tessera {
namespace {

// A cache line and the widest vector there is.
constexpr size_t kAlignment = 64;

// More than any machine has. Refused here, because allocators of sanitizers
// abort on such sizes.
constexpr size_t kMaxBytes = size_t{1} << 40;

class CpuEvent final : public Event {
 public:
  absl::Status Synchronize() override { return absl::OkStatus(); }
};

class CpuStream final : public Stream {
 public:
  absl::Status Copy(void* to, const void* from, size_t bytes) override {
    if (bytes > 0) std::memcpy(to, from, bytes);
    return absl::OkStatus();
  }
  absl::Status Zero(void* to, size_t bytes) override {
    if (bytes > 0) std::memset(to, 0, bytes);
    return absl::OkStatus();
  }
  absl::Status Record(Event&) override { return absl::OkStatus(); }
  absl::Status WaitFor(Event&) override { return absl::OkStatus(); }
  absl::Status Synchronize() override { return absl::OkStatus(); }
};

class CpuDevice final : public Device {
 public:
  DeviceKind kind() const override { return DeviceKind::kCpu; }
  std::string name() const override { return "cpu"; }

  absl::StatusOr<Memory> Allocate(MemoryKind kind, size_t bytes) override {
    void* data = nullptr;
    if (IsLarge(bytes)) {
      data = bytes <= kMaxBytes ? large_.Allocate(bytes) : nullptr;
    } else {
      const size_t lines =
          std::max<size_t>(1, (bytes + kAlignment - 1) / kAlignment);
      data = std::aligned_alloc(kAlignment, lines * kAlignment);
    }
    if (data == nullptr) {
      return absl::ResourceExhaustedError(
          absl::StrCat("no memory for ", bytes, " bytes on device cpu"));
    }
    return Memory(this, kind, data, bytes);
  }

  absl::StatusOr<std::unique_ptr<Stream>> CreateStream() override {
    return std::make_unique<CpuStream>();
  }

  absl::StatusOr<std::unique_ptr<Event>> CreateEvent() override {
    return std::make_unique<CpuEvent>();
  }

 private:
  static bool IsLarge(size_t bytes) {
#ifdef TESSERA_SANITIZER
    // Sanitizers watch what malloc gives.
    return bytes > kMaxBytes;
#else
    return bytes >= HugePageMemory::kMinBytes;
#endif
  }

  void Free(MemoryKind, void* data, size_t bytes) override {
    if (IsLarge(bytes)) {
      large_.Free(data);
    } else {
      std::free(data);
    }
  }

  HugePageMemory large_;
};

}  // namespace

std::unique_ptr<Device> MakeCpuDevice() {
  return std::make_unique<CpuDevice>();
}

}  // namespace tessera
