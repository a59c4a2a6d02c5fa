// A CPU device whose memory runs out on command.

#ifndef TESSERA_TESTS_SUPPORT_FAILING_DEVICE_H_
#define TESSERA_TESTS_SUPPORT_FAILING_DEVICE_H_

#include <atomic>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/device/cpu/cpu_device.h"

namespace tessera {

// Thread-safe.
class FailingDevice final : public Device {
 public:
  // From now on: `count` allocations work, all later ones do not.
  void FailAfter(int count) { allocations_left_ = count; }
  // From now on all work.
  void Heal() { allocations_left_ = kNoLimit; }
  // Allocations that worked, so far.
  int allocations() const { return allocations_; }

  DeviceKind kind() const override { return base_->kind(); }
  std::string name() const override { return base_->name(); }

  absl::StatusOr<Memory> Allocate(MemoryKind kind, size_t bytes) override {
    if (allocations_left_-- <= 0) {
      return absl::ResourceExhaustedError(
          absl::StrCat("no memory for ", bytes, " bytes, as told"));
    }
    ++allocations_;
    return base_->Allocate(kind, bytes);
  }
  absl::StatusOr<std::unique_ptr<Stream>> CreateStream() override {
    return base_->CreateStream();
  }
  absl::StatusOr<std::unique_ptr<Event>> CreateEvent() override {
    return base_->CreateEvent();
  }

 private:
  static constexpr int kNoLimit = 1 << 30;

  // What base_ allocated, base_ frees.
  void Free(MemoryKind, void*, size_t) override {}

  const std::unique_ptr<Device> base_ = MakeCpuDevice();
  std::atomic<int> allocations_left_ = kNoLimit;
  std::atomic<int> allocations_ = 0;
};

}  // namespace tessera

#endif  // TESSERA_TESTS_SUPPORT_FAILING_DEVICE_H_
